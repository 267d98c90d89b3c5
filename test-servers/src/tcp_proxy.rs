//! Stands between a client and a server, passes on what both say, and breaks it off at a moment of one's choosing. It
//! knows no protocol, so that it serves for any server.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const CHUNK_BYTES: usize = 16 * 1024;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// A proxy that listens on a free port of the loopback until the test's process ends.
pub struct TcpProxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: String,
    refuses: AtomicBool,
    delay_ms: AtomicU64,
    /// What ends the next connection that meets it.
    plan: Mutex<Option<Plan>>,
    cuts: AtomicU64,
    links: Mutex<Vec<Arc<Link>>>,
}

enum Plan {
    /// After so many more bytes that way.
    After(Direction, u64),
    /// The client says this: the server hears it, and its answer is lost.
    SwallowAnswerTo(Vec<u8>),
}

/// A connection and the one behind it.
struct Link {
    client: TcpStream,
    server: TcpStream,
    swallows: AtomicBool,
}

impl TcpProxy {
    /// Passes connections on to `server`, a host and a port.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State {
            server: server.to_owned(),
            refuses: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            plan: Mutex::default(),
            cuts: AtomicU64::new(0),
            links: Mutex::default(),
        });
        let own = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is away is one that refuses.
                if !own.refuses.load(Ordering::SeqCst) {
                    let _ = own.connect(client);
                }
            }
        });
        Self { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections are closed at once, from now on or no longer.
    pub fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Whatever is said arrives so much later.
    pub fn delay(&self, delay: Duration) {
        self.state.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Breaks off every connection that there is.
    pub fn cut(&self) {
        for link in lock(&self.state.links).drain(..) {
            self.state.cut(&link);
        }
    }

    /// Breaks off the connection that carries this byte, counted from now on over all of them.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        *lock(&self.state.plan) = Some(Plan::After(direction, bytes));
    }

    /// Breaks off the next connection whose client says `words`, when the server answers: it has heard them, and the
    /// client never learns.
    pub fn swallow_answer_to(&self, words: &[u8]) {
        *lock(&self.state.plan) = Some(Plan::SwallowAnswerTo(words.to_vec()));
    }

    /// How many connections were broken off so far.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl State {
    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let link = Arc::new(Link { client, server, swallows: AtomicBool::new(false) });
        lock(&self.links).push(link.clone());
        for direction in [Direction::ToServer, Direction::ToClient] {
            let (state, link) = (self.clone(), link.clone());
            std::thread::spawn(move || {
                // Whichever side ends, both do.
                let _ = state.pass(&link, direction);
                link.end();
                lock(&state.links).retain(|other| !Arc::ptr_eq(other, &link));
            });
        }
        Ok(())
    }

    fn pass(&self, link: &Link, direction: Direction) -> io::Result<()> {
        let (mut from, mut to) = match direction {
            Direction::ToServer => (&link.client, &link.server),
            Direction::ToClient => (&link.server, &link.client),
        };
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut said = Vec::new();
        loop {
            let length = from.read(&mut chunk)?;
            if length == 0 {
                return Ok(());
            }
            let delay_ms = self.delay_ms.load(Ordering::SeqCst);
            if delay_ms > 0 {
                std::thread::sleep(Duration::from_millis(delay_ms));
            }
            if direction == Direction::ToClient && link.swallows.load(Ordering::SeqCst) {
                self.cut(link);
                return Ok(());
            }
            let passed = self.passed(link, direction, &chunk[..length], &mut said);
            to.write_all(&chunk[..passed])?;
            if passed < length {
                self.cut(link);
                return Ok(());
            }
        }
    }

    /// How many of these bytes may pass. `said` is what was said before and may be the beginning of words.
    fn passed(&self, link: &Link, direction: Direction, chunk: &[u8], said: &mut Vec<u8>) -> usize {
        let mut plan = lock(&self.plan);
        match plan.as_mut() {
            Some(Plan::After(planned, left)) if *planned == direction => {
                let length = chunk.len() as u64;
                if *left >= length {
                    *left -= length;
                    return chunk.len();
                }
                let passed = usize::try_from(*left).unwrap_or(chunk.len());
                *plan = None;
                passed
            }
            Some(Plan::SwallowAnswerTo(words)) if direction == Direction::ToServer => {
                said.extend_from_slice(chunk);
                if said.windows(words.len()).any(|part| part == words.as_slice()) {
                    *plan = None;
                    link.swallows.store(true, Ordering::SeqCst);
                } else {
                    let useless = said.len().saturating_sub(words.len());
                    said.drain(..useless);
                }
                chunk.len()
            }
            _ => chunk.len(),
        }
    }

    fn cut(&self, link: &Link) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        link.end();
    }
}

impl Link {
    fn end(&self) {
        // One that ended already cannot be ended.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
