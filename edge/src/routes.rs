//! What each path does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use bytes::Bytes;
use futures::FutureExt;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue,
    IF_NONE_MATCH,
};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use search::{FieldSet, MAX_SIMILAR, SuggestRequest};
use serde_json::json;

use crate::answers::{self, JsonOut};
use crate::coding::{Coding, MAX_AT_ONCE_BYTES};
use crate::error::ApiError;
use crate::events;
use crate::live::{Generation, Serving};
use crate::params::{ProductParams, SearchParams, SuggestParams, Target, searches_from_json};
use crate::paths::Route;
use crate::reply::{self, HttpResponse};
use crate::result_cache::{Answered, Asked};
use crate::server::{Shared, panic_text};

/// A multi-search whose answers grow beyond this is refused.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A multi-search may wait for each snapshot that it previews.
const MAX_PREVIEWS_A_CALL: usize = 4;

/// A request whose body has been read.
pub struct Request<'a> {
    pub method: &'a Method,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: Bytes,
    pub started: Instant,
    /// When that was by the calendar: all of an answer is of one set of rules.
    pub now: Timestamp,
}

/// Answers a request. A panic in that is this request's misfortune, and is told; the connection and the node go on.
pub async fn answer(shared: &Shared, route: &Route<'_>, request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    guarded(routed(shared, route, request)).await
}

async fn guarded<T>(work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let done = std::panic::AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|panic| Err(ApiError::internal(panic_text(&*panic))))
}

/// Everything that is asked for lies in memory, so nothing is waited for, but for a preview that is not open yet; only
/// what is searched lets others go before it, and an event waits until it is passed on.
async fn routed(shared: &Shared, route: &Route<'_>, request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    // Event Grid's handshake has the method of a preflight.
    if request.method == Method::OPTIONS && *route != Route::Events {
        return Ok(preflight(route));
    }
    match route {
        Route::Health => Ok(health(shared)),
        Route::Search => search(shared, request).await,
        Route::MultiSearch => multi_search(shared, request).await,
        Route::Suggest => suggest(shared, request).await,
        Route::Similar(id) => similar(shared, request, id).await,
        Route::Products => products(shared, request).await,
        Route::Product(id) => product(shared, request, id).await,
        Route::Categories(below) => categories(shared, request, below.as_deref()).await,
        Route::Snapshot => served(shared, request).await,
        Route::Events => events::answer(shared, request).await,
        Route::Page(file) => Ok(reply::file(file.content_type, 60, Bytes::from_static(file.bytes))),
        Route::Picture(name) => {
            let picture = shared.pictures.get(name).ok_or_else(|| ApiError::not_found("there is no such picture"))?;
            Ok(reply::file("image/svg+xml", 86_400, picture))
        }
        Route::Unknown => Err(ApiError::not_found("there is no such path; see /v1/search")),
    }
}

/// What each market serves, or the one that is asked for, or a preview of it.
async fn served(shared: &Shared, request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let target = Target::from_query(request.query)?;
    let markets: Vec<_> = if target.snapshot.is_some() {
        let preview = shared.asked(&target, request.headers).await?;
        vec![answers::served(&shared.market(target.market.as_deref())?.name, Some(&preview))]
    } else {
        let wanted = target.market.as_deref().map(|name| shared.market(Some(name))).transpose()?;
        let markets = shared.markets.iter().filter(|market| wanted.is_none_or(|wanted| wanted.name == market.name));
        markets.map(|market| answers::served(&market.name, market.live.load().as_deref())).collect()
    };
    let body = json!({ "markets": markets });
    Ok(reply::momentary(StatusCode::OK, body.to_string().into_bytes()))
}

/// 503 only before the first snapshot and while draining. How old the snapshot is stands in the body: a region with an
/// old catalogue sells more than no region.
fn health(shared: &Shared) -> HttpResponse {
    let status = match (shared.is_draining(), shared.is_ready()) {
        (true, _) => "draining",
        (false, true) => "ok",
        (false, false) => "starting",
    };
    let markets = shared.markets.iter().map(|market| {
        let mut served = answers::served(&market.name, market.live.load().as_deref());
        served["fault"] = json!(market.fault());
        served["store_contact_age_s"] = json!(market.contact_age_s());
        served
    });
    let body = json!({ "status": status, "markets": markets.collect::<Vec<_>>() });
    let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::momentary(code, body.to_string().into_bytes())
}

async fn search(shared: &Shared, request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let params = match *request.method == Method::POST {
        true if !request.query.is_empty() => {
            return Err(ApiError::bad_parameter("query string", "a POST has its parameters in the body"));
        }
        true => SearchParams::from_json(&request.body)?,
        false => SearchParams::from_query(request.query)?,
    };
    let generation = shared.asked(&params.target, request.headers).await?;
    remembered(shared, request, &generation, Asked::search(params.raw, generation.index.catalogue())).await
}

async fn suggest(shared: &Shared, request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let params = SuggestParams::from_query(request.query)?;
    let generation = shared.asked(&params.target, request.headers).await?;
    let asked = Asked::suggest(params.raw, params.limit, params.products, generation.index.catalogue());
    remembered(shared, request, &generation, asked).await
}

async fn similar(shared: &Shared, request: &Request<'_>, id: &str) -> Result<HttpResponse, ApiError> {
    let params = ProductParams::from_query(request.query, false, true)?;
    let generation = shared.asked(&params.target, request.headers).await?;
    let limit = params.limit.unwrap_or(8);
    if limit > MAX_SIMILAR {
        return Err(ApiError::bad_parameter("limit", format!("is above {MAX_SIMILAR}")));
    }
    let fields = fields(Some(params.fields.as_deref().unwrap_or(&generation.index.catalogue().hit_fields)))?;
    let look_up = || generation.index.product_at(id, request.now).ok_or_else(|| no_product(id));
    generation.traffic.attempt(look_up)?;
    remembered(shared, request, &generation, Asked::Similar(id.to_owned(), limit, fields)).await
}

/// Goes to the back of the queue once, before work that grows with the catalogue. An answer never waits, so requests would
/// queue unseen behind it; now all that have arrived are counted first, and too many are turned away: an answer that comes
/// too late is work for nothing.
async fn in_turn() {
    tokio::task::yield_now().await;
}

/// Answers with what was answered before, where it was, and else searches.
async fn remembered(
    shared: &Shared,
    request: &Request<'_>,
    generation: &Generation,
    asked: Asked,
) -> Result<HttpResponse, ApiError> {
    let hash = hashed(generation, request.now, &asked);
    // The same answer may be written in several codings, so its tag is weak.
    let etag = weak(hash);
    if is_known(request, generation, &etag) {
        // `*` stands for any answer, so that there must be one; what is kept is one.
        let rules = generation.index.rules().version_at(request.now);
        if generation.results.get(hash, &asked, rules, Coding::Identity).is_none() {
            check(generation, &asked, request.now)?;
        }
        let mut response = reply::from_snapshot(generation, request.now, etag, None);
        reply::set_coding(&mut response, Coding::Identity);
        return Ok(response);
    }
    let wanted = Coding::accepted(request.headers);
    let (body, coding) = known_or_new(shared, request, generation, hash, asked, wanted).await?;
    let mut response = reply::from_snapshot(generation, request.now, etag, Some(body));
    reply::set_coding(&mut response, coding);
    generation.traffic.answered(request.started.elapsed());
    Ok(response)
}

/// An answer that was given before, or else a new one, which is kept.
async fn known_or_new(
    shared: &Shared,
    request: &Request<'_>,
    generation: &Generation,
    hash: u64,
    asked: Asked,
    wanted: Coding,
) -> Result<(Bytes, Coding), ApiError> {
    let rules = generation.index.rules().version_at(request.now);
    let known = kept(generation, hash, &asked, rules, wanted);
    shared.metrics.looked_up_result(known.is_some());
    let (answered, coding) = match known {
        Some(known) => known,
        None => {
            in_turn().await;
            let answered = generation.traffic.attempt(|| answer_to(generation, &asked, request.now))?;
            generation.results.put(hash, asked, rules, Coding::Identity, answered.clone());
            (answered, Coding::Identity)
        }
    };
    // What is asked most is mostly known, and was answered before anybody asked.
    if let Some(found) = answered.found {
        generation.traffic.searched(found);
    }
    Ok((answered.body, coding))
}

/// An answer that was given before, in the coding that the client wants. Only what is asked for again is compressed.
fn kept(generation: &Generation, hash: u64, asked: &Asked, rules: usize, wanted: Coding) -> Option<(Answered, Coding)> {
    let get = |coding| Some((generation.results.get(hash, asked, rules, coding)?, coding));
    if wanted != Coding::Identity
        && let Some(known) = get(wanted)
    {
        return Some(known);
    }
    let (plain, _) = get(Coding::Identity)?;
    if wanted != Coding::Identity && plain.body.len() > MAX_AT_ONCE_BYTES {
        generation.results.encode_later(hash, asked, rules, wanted, plain.clone());
        return Some((plain, Coding::Identity));
    }
    let Some(body) = wanted.encode(&plain.body) else { return Some((plain, Coding::Identity)) };
    let smaller = Answered { body, ..plain };
    generation.results.put(hash, asked.clone(), rules, wanted, smaller.clone());
    Some((smaller, wanted))
}

/// Whether a request has an answer, which only that tells otherwise.
fn check(generation: &Generation, asked: &Asked, now: Timestamp) -> Result<(), ApiError> {
    let index = &generation.index;
    match asked {
        Asked::Search(raw) => drop(index.request(raw.clone())?),
        Asked::Suggest(raw, limit, products) => {
            drop(SuggestRequest::new(raw.clone(), Some(*limit), Some(*products), index)?);
        }
        Asked::Categories(below) if !index.has_category(below.as_deref(), now) => {
            return Err(no_category(below.as_deref()));
        }
        Asked::Similar(..) | Asked::Categories(_) => {}
    }
    Ok(())
}

pub fn answer_to(generation: &Generation, asked: &Asked, now: Timestamp) -> Result<Answered, ApiError> {
    let (index, mut out, mut found_by_search) = (&generation.index, JsonOut::new(), None);
    match asked {
        Asked::Search(raw) => {
            let search = index.request(raw.clone())?;
            let answer = index.search_at(&search, now)?;
            found_by_search = Some(answer.found);
            answers::search(&mut out, generation, &search, &answer);
        }
        Asked::Suggest(raw, limit, products) => {
            let suggest = SuggestRequest::new(raw.clone(), Some(*limit), Some(*products), index)?;
            answers::suggestions(&mut out, generation, &suggest, &index.suggest_at(&suggest, now)?);
        }
        Asked::Similar(id, limit, fields) => {
            let found = index.similar_at(id, *limit, now)?.unwrap_or_default();
            answers::similar(&mut out, generation, &found, *fields);
        }
        Asked::Categories(below) => {
            let tree = index.categories_at(below.as_deref(), now).ok_or_else(|| no_category(below.as_deref()))?;
            answers::categories(&mut out, generation, &tree);
        }
    }
    Ok(Answered { body: out.0.into_boxed_slice().into(), found: found_by_search })
}

/// Answers several searches, each from the one snapshot that its market had when the call first asked for it, or from
/// the one that it previews.
async fn multi_search(shared: &Shared, request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    in_turn().await;
    let searches = searches_from_json(&request.body)?;
    let mut generations: Vec<(&str, Option<String>, Serving)> = Vec::new();
    let (mut prepared, mut hasher) = (Vec::with_capacity(searches.len()), DefaultHasher::new());
    for (place, params) in searches.into_iter().enumerate() {
        let at_place = |error: ApiError| error.within("searches", place);
        let target = params.target;
        let market = shared.market(target.market.as_deref()).map_err(at_place)?;
        let is_it = |name: &str, snapshot: &Option<String>| name == market.name && *snapshot == target.snapshot;
        let known = generations.iter().position(|(name, snapshot, _)| is_it(name, snapshot));
        let number = match known {
            Some(number) => number,
            None => {
                let previews = generations.iter().filter(|(_, snapshot, _)| snapshot.is_some()).count();
                if target.snapshot.is_some() && previews == MAX_PREVIEWS_A_CALL {
                    let reason = format!("is one more than the {MAX_PREVIEWS_A_CALL} that a call may preview");
                    return Err(at_place(ApiError::bad_parameter("snapshot", reason)));
                }
                let generation = shared.asked(&target, request.headers).await.map_err(at_place)?;
                generations.push((&market.name, target.snapshot, generation));
                generations.len() - 1
            }
        };
        let asked = Asked::search(params.raw, generations[number].2.index.catalogue());
        let hash = hashed(&generations[number].2, request.now, &asked);
        hash.hash(&mut hasher);
        prepared.push((number, hash, asked));
    }
    let mut body = b"{\"results\":[".to_vec();
    for (place, (number, hash, asked)) in prepared.into_iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        let (generation, started) = (&generations[number].2, Instant::now());
        let answer = known_or_new(shared, request, generation, hash, asked, Coding::Identity).await;
        let (answer, _) = answer.map_err(|error| error.within("searches", place))?;
        generation.traffic.answered(started.elapsed());
        body.extend_from_slice(&answer);
        if body.len() > MAX_ANSWER_BYTES {
            let reason =
                format!("their answers are larger than {MAX_ANSWER_BYTES} bytes: ask for fewer hits or fields");
            return Err(ApiError::bad_parameter("searches", reason));
        }
    }
    body.extend_from_slice(b"]}");
    let ids: Vec<&str> = generations.iter().map(|(.., generation)| generation.pointer.snapshot.as_str()).collect();
    let ids = HeaderValue::from_str(&ids.join(",")).map_err(ApiError::internal)?;
    if generations.iter().any(|(.., generation)| generation.is_preview) {
        return Ok(reply::preview(ids, body.into()));
    }
    let fresh_s = generations.iter().map(|(.., generation)| reply::fresh_s(generation, request.now)).min().unwrap_or(0);
    Ok(reply::from_snapshots(ids, strong(hasher.finish()), fresh_s, Some(body.into())))
}

async fn product(shared: &Shared, request: &Request<'_>, id: &str) -> Result<HttpResponse, ApiError> {
    let params = ProductParams::from_query(request.query, false, false)?;
    let generation = shared.asked(&params.target, request.headers).await?;
    let fields = fields(params.fields.as_deref())?;
    let etag = etag(&generation, request.now, ("product", id, fields));
    let body = generation.traffic.attempt(|| {
        let found = generation.index.product_at(id, request.now);
        let (segment, record) = found.ok_or_else(|| no_product(id))?;
        let is_new = !is_known(request, &generation, &etag);
        Ok(is_new.then(|| answers::product_body(&generation.index, segment, record, fields)))
    })?;
    Ok(reply::from_snapshot(&generation, request.now, etag, body.map(Bytes::from)))
}

fn no_product(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no product '{id}'"))
}

async fn products(shared: &Shared, request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let params = ProductParams::from_query(request.query, true, false)?;
    if params.ids.is_empty() {
        return Err(ApiError::bad_parameter("ids", "is missing: give ids=a,b"));
    }
    let generation = shared.asked(&params.target, request.headers).await?;
    let fields = fields(params.fields.as_deref())?;
    let etag = etag(&generation, request.now, ("products", &params.ids, fields));
    if is_known(request, &generation, &etag) {
        return Ok(reply::from_snapshot(&generation, request.now, etag, None));
    }
    let body = generation.traffic.attempt(|| {
        let mut out = JsonOut::new();
        answers::products(&mut out, &generation, &params.ids, fields, request.now);
        Ok(out.0)
    })?;
    Ok(reply::from_snapshot(&generation, request.now, etag, Some(body.into())))
}

async fn categories(shared: &Shared, request: &Request<'_>, below: Option<&str>) -> Result<HttpResponse, ApiError> {
    let generation = shared.asked(&Target::from_query(request.query)?, request.headers).await?;
    remembered(shared, request, &generation, Asked::Categories(below.map(str::to_owned))).await
}

fn no_category(below: Option<&str>) -> ApiError {
    match below {
        Some(path) => ApiError::not_found(format!("there is no category '{path}'")),
        None => ApiError::not_found("the catalogue has no category facet"),
    }
}

fn fields(names: Option<&[String]>) -> Result<FieldSet, ApiError> {
    Ok(names.map_or(Ok(FieldSet::ALL), |names| FieldSet::parse("fields", names))?)
}

fn preflight(route: &Route<'_>) -> HttpResponse {
    let mut response = reply::momentary(StatusCode::NO_CONTENT, Vec::new());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(route.allowed()));
    headers
        .insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type, If-None-Match, X-Preview-Key"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// A tag that is the same for the same request to the same announcement, on every node of the same build.
fn etag(generation: &Generation, now: Timestamp, request: impl Hash) -> HeaderValue {
    strong(hashed(generation, now, request))
}

pub fn hashed(generation: &Generation, now: Timestamp, request: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    generation.pointer.snapshot.hash(&mut hasher);
    generation.pointer.sequence.hash(&mut hasher);
    // The same request may be answered otherwise once another set of rules is active.
    generation.index.rules().version_at(now).hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    request.hash(&mut hasher);
    hasher.finish()
}

fn strong(hash: u64) -> HeaderValue {
    tag(&weak_text(hash)[2..])
}

fn weak(hash: u64) -> HeaderValue {
    tag(&weak_text(hash))
}

fn tag(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// A weak tag; a strong one lacks the first two bytes.
fn weak_text(hash: u64) -> [u8; 20] {
    let mut text = *b"W/\"0000000000000000\"";
    for (place, digit) in text[3..19].iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(hash >> (4 * place)) as usize & 15];
    }
    text
}

/// Whether the client has this answer already (RFC 9110: weak comparison, and only where nothing was sent to be done).
/// Nobody has one from a preview.
fn is_known(request: &Request<'_>, generation: &Generation, etag: &HeaderValue) -> bool {
    *request.method != Method::POST && !generation.is_preview && has_tag(request.headers, etag)
}

fn has_tag(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let wanted = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = wanted.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let etag = etag.as_bytes().strip_prefix(b"W/").unwrap_or(etag.as_bytes());
    tags.any(|tag| tag == "*" || tag.as_bytes() == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let broken: Result<(), ApiError> = guarded(async { panic!("broken") }).await;
        let told = broken.expect_err("an error");
        assert_eq!((told.status, told.cause.as_deref()), (StatusCode::INTERNAL_SERVER_ERROR, Some("broken")));
    }

    #[test]
    fn etags_are_compared_as_http_does() {
        let tag = HeaderValue::from_static("\"abc\"");
        let check = |value: &'static str, expected| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(value))]);
            assert_eq!(has_tag(&headers, &tag), expected, "{value}");
        };
        check("\"abc\"", true);
        check("\"x\", W/\"abc\"", true);
        check("*", true);
        check("\"abcd\"", false);
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("W/\"abc\""))]);
        assert!(has_tag(&headers, &HeaderValue::from_static("W/\"abc\"")));
    }

    #[test]
    fn tags_are_sixteen_digits() {
        assert_eq!(weak(0x0123_4567_89ab_cdef), "W/\"0123456789abcdef\"");
        assert_eq!(strong(0xf0), "\"00000000000000f0\"");
    }
}
