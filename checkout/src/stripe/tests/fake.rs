//! A server that does to a request whatever a test wants. It speaks HTTP by hand, since no server library sends half an
//! answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const MAX_REQUEST_BYTES: usize = 1 << 20;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Answer {
        status: u16,
        headers: String,
        body: String,
    },
    /// The answer is promised to be so much longer, and the connection ends.
    Cut {
        status: u16,
        body: String,
        missing_bytes: usize,
    },
    /// The connection is closed without an answer.
    HangUp,
    /// The connection is reset without an answer.
    Reset,
    /// Nothing ever happens.
    Hang,
}

impl Act {
    pub(crate) fn answer(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: String::new(), body: body.to_owned() }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// From the first line to the empty one, names of headers in small letters as the client writes them.
    pub(crate) head: String,
    pub(crate) body: String,
}

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    connections: usize,
}

type Script = Arc<dyn Fn(&Seen) -> Act + Send + Sync>;

pub(crate) struct Fake {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
    accepting: JoinHandle<()>,
}

impl Fake {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let log = Arc::new(Mutex::new(Log::default()));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&log), Arc::new(script)));
        Self { address, log, accepting }
    }

    /// The URL of a port where nobody listens.
    pub(crate) async fn url_of_nobody() -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().expect("the log").seen.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.lock().expect("the log").connections
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, log: Arc<Mutex<Log>>, script: Script) {
    while let Ok((stream, _)) = listener.accept().await {
        log.lock().expect("the log").connections += 1;
        tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&script)));
    }
}

/// Serves a connection until the client or the script ends it.
async fn serve(mut stream: TcpStream, log: Arc<Mutex<Log>>, script: Script) {
    while let Some(seen) = read_request(&mut stream).await {
        let act = script(&seen);
        log.lock().expect("the log").seen.push(seen);
        let (text, ends) = match act {
            Act::Answer { status, headers, body } => (answer(status, &headers, &body, body.len()), false),
            Act::Cut { status, body, missing_bytes } => (answer(status, "", &body, body.len() + missing_bytes), true),
            Act::HangUp => return,
            Act::Reset => {
                stream.set_zero_linger().expect("a socket");
                return;
            }
            Act::Hang => std::future::pending().await,
        };
        if stream.write_all(text.as_bytes()).await.is_err() || ends {
            return;
        }
    }
}

fn answer(status: u16, headers: &str, body: &str, length_bytes: usize) -> String {
    format!("HTTP/1.1 {status} x\r\ncontent-length: {length_bytes}\r\n{headers}\r\n{body}")
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        if let Some(seen) = parse(&bytes) {
            return Some(seen);
        }
        let mut chunk = [0; 4_096];
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 && bytes.len() < MAX_REQUEST_BYTES => bytes.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}

/// The request, once all of it is there. A client sends the next one only after the answer.
fn parse(bytes: &[u8]) -> Option<Seen> {
    let text = std::str::from_utf8(bytes).expect("a request in ASCII");
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length_bytes: usize = length.map_or(0, |length| length.parse().expect("a length"));
    (body.len() >= length_bytes).then(|| Seen { head: format!("{head}\r\n"), body: body.to_owned() })
}
