//! Who asks: by the token that a request shows.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde_json::Value;

use super::problem::{Code, Problem};
use crate::domain::{Checkout, Order};
use crate::staff::Staff;
use crate::store::Audit;
use crate::tokens::{TokenHash, TokenKind};

/// What keys of those belong to who have no token yet.
const GUEST: &str = "guest";

#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Guest,
    /// Somebody with the token of an order, whichever that is.
    Owner(TokenHash),
    /// By the name that stands in the file, whichever of its tokens is shown.
    Staff(String),
}

impl Caller {
    /// # Errors
    /// When a token is shown that is none of ours.
    pub fn of(headers: &HeaderMap, staff: &Staff) -> Result<Self, Problem> {
        let Some(token) = token(headers)? else { return Ok(Self::Guest) };
        let hash = TokenHash::of(token);
        match TokenKind::of(token).ok_or_else(invalid)? {
            TokenKind::Owner => Ok(Self::Owner(hash)),
            TokenKind::Staff => Ok(Self::Staff(staff.name_of(&hash).ok_or_else(invalid)?)),
        }
    }

    /// Whose idempotency keys these are: a hash, never a token. Staff's are a name's, since its token is changed now and then:
    /// no hash and no name has a colon.
    pub fn key_scope(&self) -> String {
        match self {
            Self::Guest => GUEST.to_owned(),
            Self::Owner(hash) => hash.to_hex(),
            Self::Staff(name) => format!("staff:{name}"),
        }
    }

    /// The name of who is staff.
    ///
    /// # Errors
    /// When it is not staff that asks.
    pub fn staff(&self) -> Result<&str, Problem> {
        match self {
            Self::Staff(name) => Ok(name),
            Self::Owner(_) => Err(Problem::new(Code::StaffOnly, "this is for the shop's staff")),
            Self::Guest => Err(missing()),
        }
    }

    /// An entry of the audit about what staff does.
    ///
    /// # Errors
    /// When it is not staff that asks.
    pub fn audit(&self, action: &str, subject: String, detail: Value) -> Result<Audit, Problem> {
        Ok(Audit { actor: self.staff()?.to_owned(), action: action.to_owned(), subject, detail })
    }

    /// # Errors
    /// When no token is shown, or it is the staff's, for what only the owner does.
    pub fn owner(&self) -> Result<&TokenHash, Problem> {
        match self {
            Self::Owner(hash) => Ok(hash),
            Self::Staff(_) => Err(Problem::new(Code::OwnerOnly, "this is for the owner of the checkout")),
            Self::Guest => Err(missing()),
        }
    }

    /// # Errors
    /// When no token is shown. A wrong one is told what is told of an id that does not exist, so that nobody finds out
    /// which do.
    pub fn may_see_checkout(&self, checkout: &Checkout) -> Result<(), Problem> {
        self.may_see(&checkout.token_hash, "checkout")
    }

    /// # Errors
    /// As for a checkout.
    pub fn may_see_order(&self, order: &Order) -> Result<(), Problem> {
        self.may_see(&order.token_hash, "order")
    }

    /// # Errors
    /// When nobody is known to ask.
    pub fn known(&self) -> Result<(), Problem> {
        match self {
            Self::Guest => Err(missing()),
            _ => Ok(()),
        }
    }

    fn may_see(&self, token_hash: &[u8; 32], what: &str) -> Result<(), Problem> {
        match self {
            Self::Guest => Err(missing()),
            Self::Staff(_) => Ok(()),
            Self::Owner(hash) if hash.is(&TokenHash::from_bytes(*token_hash)) => Ok(()),
            Self::Owner(_) => Err(Problem::not_found(what)),
        }
    }
}

/// The token that a request shows, which may be none of ours.
///
/// # Errors
/// When it shows something else, or several.
pub(crate) fn token(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = given.next() else { return Ok(None) };
    // Of two, somebody before us may have looked at the other.
    let is_one = given.next().is_none();
    let text = header.to_str().ok().filter(|_| is_one).and_then(|text| text.split_once(' '));
    let (_, token) = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).ok_or_else(invalid)?;
    Ok(Some(token.trim()))
}

fn invalid() -> Problem {
    Problem::new(Code::TokenInvalid, "this token opens nothing")
}

fn missing() -> Problem {
    Problem::new(Code::TokenMissing, "this needs a token: Authorization: Bearer ...")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::tokens::NewToken;

    fn caller(value: &str) -> Result<Caller, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
        Caller::of(&headers, &Staff::read(None).expect("staff"))
    }

    #[test]
    fn tokens_say_who_asks() {
        let token = NewToken::owner().expect("a token");
        let owner = caller(&format!("Bearer {}", token.text())).expect("a caller");
        assert!(matches!(&owner, Caller::Owner(hash) if hash.is(&token.hash())));
        assert_eq!(owner.key_scope(), token.hash().to_hex());
        assert_eq!(Caller::Staff("anna".to_owned()).key_scope(), "staff:anna");
        assert_eq!(owner.staff().expect_err("no staff").status(), 403);
        assert_eq!(Caller::Guest.staff().expect_err("no staff").status(), 401);
        assert!(matches!(Caller::of(&HeaderMap::new(), &Staff::read(None).expect("staff")), Ok(Caller::Guest)));
    }

    #[test]
    fn two_tokens_are_none() {
        let (first, second) = (NewToken::owner().expect("a token"), NewToken::owner().expect("a token"));
        let mut headers = HeaderMap::new();
        for token in [&first, &second] {
            let value = format!("Bearer {}", token.text());
            headers.append(AUTHORIZATION, HeaderValue::from_str(&value).expect("a header"));
        }
        let problem = Caller::of(&headers, &Staff::read(None).expect("staff")).expect_err("no caller");
        assert_eq!(problem.status(), 401);
    }

    #[test]
    fn what_is_no_token_of_ours_is_refused() {
        let staff = NewToken::staff().expect("a token");
        for value in ["", "Bearer", "Bearer x", "Basic abc", &format!("Bearer {}", staff.text())] {
            assert_eq!(caller(value).expect_err(value).status(), 401, "{value}");
        }
    }
}
