//! Where it all happens: two processes that share one database, and everything between them and the rest of the world.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use test_servers::{Redis, TcpProxy};

use crate::dice::Dice;
use crate::harness::client::{Client, Reply, Request};
use crate::harness::servers::{address_of, own_postgres};
use crate::harness::shop::Shopper;
use crate::harness::{BOOTS, LAMP, World, blocking};
use crate::promises::Promises;
use crate::tally::Tally;

/// Processes, as two regions have them.
pub const SLOTS: usize = 2;
/// A client asks so often before it gives up.
const MAX_TURNS: u32 = 40;
/// Orders that staff picks from.
const MAX_ORDERS: usize = 10_000;
/// What is sold, and what it costs at first. A few are scarce, so that shoppers meet.
pub const PRODUCTS: &[(&str, i64)] = &[(BOOTS, 7_950), (LAMP, 1_999), ("chair", 12_900), ("rug", 24_950), ("mug", 795)];
pub const SCARCE: &[&str] = &["rug", "mug"];

pub struct Scene {
    pub world: World,
    pub redis: Mutex<Redis>,
    pub database_line: TcpProxy,
    pub stripe_line: TcpProxy,
    pub redis_line: TcpProxy,
    pub tally: Tally,
    pub promises: Promises,
    orders: Mutex<Vec<String>>,
    checkouts: Mutex<Vec<String>>,
    ends: Instant,
}

impl Scene {
    /// With everything up, and shelves that are filled.
    pub async fn set(time: Duration) -> Self {
        let postgres = blocking(own_postgres);
        let redis = blocking(Redis::start);
        let mut world = World::new(postgres, None).await;
        let line_to = |url: &str| TcpProxy::start(address_of(url));
        let (database_line, stripe_line) = (line_to(&world.database_url), line_to(world.stripe.url()));
        let redis_line = line_to(&redis.url());
        let through = |url: &str, line: &TcpProxy| url.replace(address_of(url), &line.address().to_string());
        world.set("PRIMARY_SQL_URL", through(&world.database_url.clone(), &database_line));
        world.set("STRIPE_API_URL", through(world.stripe.url(), &stripe_line));
        world.set("REDIS_URL", through(&redis.url(), &redis_line));
        world.edge.swap(|catalogue| {
            catalogue.prices = PRODUCTS.iter().map(|(product, minor)| ((*product).to_owned(), *minor)).collect();
        });
        (0..SLOTS).for_each(|slot| world.run(slot, None));
        for (product, _) in PRODUCTS {
            let available = if SCARCE.contains(product) { 15 } else { 100_000 };
            crate::harness::shop::set_stock(&world.client(0), product, available).await;
        }
        Self {
            world,
            redis: Mutex::new(redis),
            database_line,
            stripe_line,
            redis_line,
            tally: Tally::default(),
            promises: Promises::default(),
            orders: Mutex::default(),
            checkouts: Mutex::default(),
            ends: Instant::now() + time,
        }
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    pub fn client(&self, dice: &mut Dice) -> Client {
        self.world.client(dice.below(SLOTS as u64) as usize)
    }

    pub fn redis(&self) -> MutexGuard<'_, Redis> {
        self.redis.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until there is a final answer, now this process and now that one, as a client does that loses answers and
    /// patience. None where it gives up.
    pub async fn insist(&self, dice: &mut Dice, request: &Request) -> Option<Reply> {
        for _ in 0..MAX_TURNS {
            let patience = Duration::from_millis(dice.between(500, 8_000));
            let client = self.client(dice);
            match tokio::time::timeout(patience, client.send(request)).await {
                Ok(Ok(reply)) if !reply.is_to_be_asked_again() => return Some(reply),
                Ok(Ok(reply)) if reply.code().is_empty() => self.tally.note(format!("asked again: {}", reply.status)),
                Ok(Ok(reply)) => self.tally.note(format!("asked again: {}", reply.code())),
                Ok(Err(_)) => self.tally.note("asked again: the answer was lost"),
                Err(_) => self.tally.note("asked again: it took too long"),
            }
            if self.is_over() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(dice.between(20, 400))).await;
        }
        self.tally.note("a client gave up");
        None
    }

    pub fn remember_order(&self, order: &str) {
        remember(&self.orders, order);
    }

    pub fn remember_checkout(&self, shopper: &Shopper) {
        remember(&self.checkouts, &shopper.checkout);
    }

    pub fn any_order(&self, dice: &mut Dice) -> Option<String> {
        any(&self.orders, dice)
    }

    pub fn any_checkout(&self, dice: &mut Dice) -> Option<String> {
        any(&self.checkouts, dice)
    }
}

fn remember(list: &Mutex<Vec<String>>, id: &str) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    if list.len() < MAX_ORDERS {
        list.push(id.to_owned());
    }
}

/// Rather one of the last.
fn any(list: &Mutex<Vec<String>>, dice: &mut Dice) -> Option<String> {
    let list = list.lock().unwrap_or_else(PoisonError::into_inner);
    let back = dice.below(list.len().clamp(1, 50) as u64) as usize;
    list.len().checked_sub(back + 1).map(|place| list[place].clone())
}
