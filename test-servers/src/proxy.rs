//! An HTTP proxy that stands between what is tested and Azurite, and does something at a request of one's choosing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// When the proxy calls its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The server has not seen the request.
    Before,
    /// The server has done what was asked, and the client does not know.
    After,
}

/// A request that passes.
#[derive(Clone, Debug)]
pub struct Passing {
    /// "PUT /devstoreaccount1/..."
    pub line: String,
    pub moment: Moment,
}

/// What becomes of a request, or of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passes,
    /// The connection ends.
    Cut,
    /// The client hears this status.
    Refused(u16),
    /// The client hears half of the answer.
    Halved,
    /// The client hears an answer that looks whole, with half of its body.
    Shortened,
}

impl From<bool> for Outcome {
    fn from(passes: bool) -> Self {
        if passes { Self::Passes } else { Self::Cut }
    }
}

/// A running proxy; it lasts as long as the process.
pub struct Proxy {
    pub address: SocketAddr,
}

impl Proxy {
    /// Forwards to `server`, one request a connection; calls `hook` before and after each, which says what becomes of it.
    ///
    /// # Panics
    /// When there is no port to listen on.
    pub fn start<O: Into<Outcome>>(server: &str, hook: impl Fn(&Passing) -> O + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = server.trim_start_matches("http://").to_owned();
        let hook: Arc<dyn Fn(&Passing) -> Outcome + Send + Sync> = Arc::new(move |passing| hook(passing).into());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, hook) = (server.clone(), hook.clone());
                // A client that was killed breaks its connection; that is what it is here for.
                std::thread::spawn(move || drop(forward(stream, &server, hook.as_ref())));
            }
        });
        Self { address }
    }
}

fn forward(client: TcpStream, server: &str, hook: &dyn Fn(&Passing) -> Outcome) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut head = line.clone();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let name = header.to_ascii_lowercase();
        if let Some(value) = name.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if header.trim().is_empty() {
            break;
        }
        if !name.starts_with("connection:") {
            head += &header;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let line = line.split(" HTTP/").next().unwrap_or("").to_owned();
    match hook(&Passing { line: line.clone(), moment: Moment::Before }) {
        Outcome::Passes => {}
        Outcome::Refused(status) => return refuse(reader.get_mut(), status),
        Outcome::Cut | Outcome::Halved | Outcome::Shortened => return Ok(()),
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    match hook(&Passing { line, moment: Moment::After }) {
        Outcome::Passes => reader.get_mut().write_all(&answer),
        Outcome::Refused(status) => refuse(reader.get_mut(), status),
        Outcome::Halved => reader.get_mut().write_all(&answer[..answer.len() / 2]),
        Outcome::Shortened => reader.get_mut().write_all(&shortened(&answer)),
        Outcome::Cut => Ok(()),
    }
}

fn refuse(client: &mut TcpStream, status: u16) -> std::io::Result<()> {
    let answer = format!("HTTP/1.1 {status} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.write_all(answer.as_bytes())
}

/// An answer with half of its body, whose length says so.
fn shortened(answer: &[u8]) -> Vec<u8> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |start| start + 4);
    let (head, body) = answer.split_at(end);
    let body = &body[..body.len() / 2];
    let head = String::from_utf8_lossy(head);
    let lines =
        head.lines().filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("content-length:"));
    let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
    [format!("{lines}content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}
