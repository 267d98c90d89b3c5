//! `expand[]`: ids that are shown as the objects they name.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::lists::list_json;
use crate::state::State;

/// How many paths a request may expand, and how many names one may have.
const MAX_PATHS: usize = 20;
const MAX_DEPTH: usize = 4;
/// How many refunds an expanded charge shows.
const MAX_REFUNDS: usize = 10;

impl State {
    /// Expands what a request asks for.
    pub(crate) fn expand(&self, object: &mut Value, paths: &[String]) -> Result<(), ApiError> {
        for path in paths {
            let names: Vec<&str> = path.split('.').collect();
            // The name of a list's items does not count.
            let depth = names.iter().filter(|name| **name != "data").count();
            if paths.len() > MAX_PATHS || depth > MAX_DEPTH {
                let message = format!("At most {MAX_PATHS} paths of {MAX_DEPTH} names can be expanded.");
                return Err(ApiError::refused(None, message).with_param("expand"));
            }
            self.expand_path(object, &names, path)?;
        }
        Ok(())
    }

    fn expand_path(&self, object: &mut Value, names: &[&str], path: &str) -> Result<(), ApiError> {
        let Some((name, rest)) = names.split_first() else { return Ok(()) };
        if object.is_null() {
            return Ok(());
        }
        if let (&"data", Some(items)) = (name, object.get_mut("data").and_then(Value::as_array_mut)) {
            return items.iter_mut().try_for_each(|item| self.expand_path(item, rest, path));
        }
        if let Some(list) = self.list_of(object, name) {
            object[*name] = list;
        }
        let expanded = match object.get(*name) {
            Some(Value::String(id)) => self.object(object, id),
            Some(_) => None,
            None => {
                let message = format!("{path} cannot be expanded.");
                // The work is done by now, so that the answer must be kept: another try would do it again.
                return Err(ApiError::refused(None, message).with_param("expand[]"));
            }
        };
        if let Some(expanded) = expanded {
            object[*name] = expanded;
        }
        match rest.is_empty() {
            true => Ok(()),
            false => self.expand_path(&mut object[*name], rest, path),
        }
    }

    /// A list that objects show only where it is asked for.
    fn list_of(&self, object: &Value, name: &str) -> Option<Value> {
        let id = object["id"].as_str()?;
        match (object["object"].as_str()?, name) {
            ("checkout.session", "line_items") => {
                let session = self.data.sessions.get(id)?;
                Some(list_json(session.lines_json(), false, &format!("/v1/checkout/sessions/{id}/line_items")))
            }
            ("charge", "refunds") => {
                let refunds = &self.data.charges.get(id)?.refunds;
                let shown = refunds.iter().rev().take(MAX_REFUNDS).map(|refund| self.refund_json(refund)).collect();
                Some(list_json(shown, refunds.len() > MAX_REFUNDS, &format!("/v1/charges/{id}/refunds")))
            }
            _ => None,
        }
    }

    /// The object of an id; None where the simulator keeps none, and the id has to do.
    fn object(&self, holder: &Value, id: &str) -> Option<Value> {
        let (prefix, _) = id.split_once('_')?;
        let object = match prefix {
            "pi" => self.intent_json(id),
            "ch" | "py" => self.charge_json(id),
            "re" | "pyr" => self.refund_json(id),
            "cs" => self.session_json(id),
            "dp" => self.dispute_json(id),
            "txn" => self.transaction_json(id),
            "pm" => self.method_json(holder)?,
            "cus" => json!({
                "id": id,
                "object": "customer",
                "created": 0,
                "description": null,
                "email": null,
                "livemode": false,
                "metadata": {},
                "shipping": null,
            }),
            _ => Value::Null,
        };
        (!object.is_null()).then_some(object)
    }

    /// The payment method of the object that names it.
    fn method_json(&self, holder: &Value) -> Option<Value> {
        let id = holder["id"].as_str()?;
        match holder["object"].as_str()? {
            "payment_intent" => {
                let intent = self.data.intents.get(id)?;
                Some(intent.method.as_ref()?.to_json(intent.customer.as_deref()))
            }
            "charge" => {
                let charge = self.data.charges.get(id)?;
                Some(charge.method.to_json(charge.customer.as_deref()))
            }
            _ => None,
        }
    }
}
