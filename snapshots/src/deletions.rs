//! One blob is deleted by a plain DELETE. object_store deletes in batches alone, even one blob, and a batch asks more of a
//! shared access signature than the deletion does, where it is taken at all.
//!
//! object_store signs each deletion of a batch as a request of its own, whatever the way to sign in, so that it can be sent
//! as one.

use futures::future::BoxFuture;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpRequestBody, HttpResponse, HttpService, ReqwestConnector,
};

const BOUNDARY: &str = "deleted";

/// Makes clients that send a batch of one deletion as that deletion.
#[derive(Debug)]
pub(crate) struct PlainDeletions;

impl HttpConnector for PlainDeletions {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Client(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Client(HttpClient);

impl HttpService for Client {
    // What async_trait makes of an async function.
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> BoxFuture<'async_trait, Result<HttpResponse, HttpError>>
    where
        'life0: 'async_trait,
    {
        Box::pin(async move {
            match only_deletion(&request) {
                Some(deletion) => self.0.execute(deletion).await.map(as_batch),
                None => self.0.execute(request).await,
            }
        })
    }
}

/// The deletion that a batch is made of; None where it is no batch, or one of several.
fn only_deletion(batch: &HttpRequest) -> Option<HttpRequest> {
    let uri = batch.uri();
    if !uri.query()?.split('&').any(|pair| pair == "comp=batch") {
        return None;
    }
    // What the part is, then the request without a body, then the end of the batch.
    let body = std::str::from_utf8(batch.body().as_bytes()?).ok()?;
    let [_, request, _] = body.split("\r\n\r\n").collect::<Vec<_>>()[..] else { return None };
    let mut lines = request.split("\r\n");
    let path = lines.next()?.strip_prefix("DELETE ")?.strip_suffix(" HTTP/1.1")?;
    let mut deletion = HttpRequest::new(HttpRequestBody::empty());
    *deletion.method_mut() = "DELETE".parse().ok()?;
    *deletion.uri_mut() = format!("{}://{}{path}", uri.scheme_str()?, uri.authority()?).parse().ok()?;
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        deletion.headers_mut().try_entry(name).ok()?.or_insert(value.parse().ok()?);
    }
    Some(deletion)
}

/// What became of the deletion, as a batch tells it. What is no answer to it (a fault of the store, a refusal) is told as it
/// is, so that it is tried again or told like any other.
fn as_batch(answer: HttpResponse) -> HttpResponse {
    let status = answer.status();
    if !status.is_success() && status.as_u16() != 404 {
        return answer;
    }
    let part = format!("Content-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status}\r\n\r\n");
    let mut batch = HttpResponse::new(format!("--{BOUNDARY}\r\n{part}--{BOUNDARY}--\r\n").into());
    let kind = format!("multipart/mixed; boundary={BOUNDARY}").parse();
    batch.headers_mut().insert("content-type", kind.expect("plain text"));
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(paths: &[&str]) -> HttpRequest {
        let part = |path: &&str| {
            let request =
                format!("DELETE {path} HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: SharedKey shop:c2ln\r\n");
            format!("--batch\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\n{request}\r\n\r\n")
        };
        let parts: String = paths.iter().map(part).collect();
        let mut batch = HttpRequest::new(format!("{parts}--batch--\r\n").into());
        let uri = "https://shop.blob.core.windows.net/snapshots?restype=container&comp=batch&sig=x";
        *batch.uri_mut() = uri.parse().expect("an address");
        batch
    }

    #[test]
    fn a_batch_of_one_deletion_is_that_deletion() {
        let deletion = only_deletion(&batch(&["/snapshots/us/leases/a.json?sig=x"])).expect("a deletion");
        assert_eq!(deletion.method().as_str(), "DELETE");
        assert_eq!(deletion.uri().to_string(), "https://shop.blob.core.windows.net/snapshots/us/leases/a.json?sig=x");
        let header = |name: &str| deletion.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!((header("content-length"), header("authorization")), (Some("0"), Some("SharedKey shop:c2ln")));
    }

    #[test]
    fn what_is_no_batch_of_one_is_left_as_it_is() {
        assert!(only_deletion(&batch(&["/snapshots/a", "/snapshots/b"])).is_none());
        let mut list = batch(&["/snapshots/a"]);
        *list.uri_mut() = "https://shop.blob.core.windows.net/snapshots?comp=list".parse().expect("an address");
        assert!(only_deletion(&list).is_none());
    }

    #[tokio::test]
    async fn what_became_of_it_is_told_and_faults_are_left_as_they_are() {
        let answer = |status: u16| {
            let mut answer = HttpResponse::new(String::new().into());
            *answer.status_mut() = status.try_into().expect("a status");
            as_batch(answer)
        };
        for (status, told) in [(202, "HTTP/1.1 202 Accepted\r\n"), (404, "HTTP/1.1 404 Not Found\r\n")] {
            let answer = answer(status);
            assert_eq!(answer.status().as_u16(), 200);
            let body = answer.into_body().bytes().await.expect("a body");
            assert!(String::from_utf8_lossy(&body).contains(told), "{status}: {body:?}");
        }
        for status in [403, 503] {
            assert_eq!(answer(status).status().as_u16(), status);
        }
    }
}
