//! An HTTP proxy that stands between the indexer and Azurite, and does something at a request of one's choosing.

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

pub struct Proxy {
    pub address: SocketAddr,
}

impl Proxy {
    /// Forwards to `server`, one request a connection; calls `hook` before and after each. What the hook returns false
    /// to goes no further.
    pub fn start(server: &str, hook: impl Fn(&Passing) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = server.trim_start_matches("http://").to_owned();
        let hook: Arc<dyn Fn(&Passing) -> bool + Send + Sync> = Arc::new(hook);
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

fn forward(client: TcpStream, server: &str, hook: &dyn Fn(&Passing) -> bool) -> std::io::Result<()> {
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
    if !hook(&Passing { line: line.clone(), moment: Moment::Before }) {
        return Ok(());
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    if hook(&Passing { line, moment: Moment::After }) {
        reader.get_mut().write_all(&answer)?;
    }
    Ok(())
}
