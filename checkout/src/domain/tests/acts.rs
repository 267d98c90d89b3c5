//! Whatever can happen to an order, in any order.

use proptest::prelude::*;

use super::*;

/// What can happen to an order at all.
#[derive(Clone, Copy, Debug)]
enum Act {
    Pay,
    Refund { amount_minor: i64 },
    Intent { payment: usize, status: IntentStatus, received_minor: i64 },
    Dead { payment: usize },
    Unanswered { payment: usize },
    Deferred { payment: usize },
    Session { payment: usize },
    RefundNews { refund: usize, state: RefundState },
    RefundRefused { refund: usize },
    Foreign { payment: usize, name: u8, state: RefundState, amount_minor: i64 },
    Dispute { payment: usize, name: u8, state: DisputeState },
    Cancel,
    Time { ms: i64 },
}

fn acts() -> impl Strategy<Value = Act> {
    let place = 0..3_usize;
    let status = prop::sample::select(vec![
        IntentStatus::RequiresAction,
        IntentStatus::Processing,
        IntentStatus::Succeeded,
        IntentStatus::Canceled,
    ]);
    let state = prop::sample::select(vec![
        RefundState::Unknown,
        RefundState::Pending,
        RefundState::Succeeded,
        RefundState::Failed,
    ]);
    let dispute = prop::sample::select(vec![DisputeState::Open, DisputeState::Won, DisputeState::Lost]);
    prop_oneof![
        3 => Just(Act::Pay),
        3 => (1..700_i64).prop_map(|amount_minor| Act::Refund { amount_minor }),
        9 => (place.clone(), status, prop::sample::select(vec![TOTAL_MINOR, TOTAL_MINOR, 900, 1_100])).prop_map(
            |(payment, status, received_minor)| Act::Intent { payment, status, received_minor }
        ),
        1 => place.clone().prop_map(|payment| Act::Dead { payment }),
        1 => place.clone().prop_map(|payment| Act::Unanswered { payment }),
        1 => place.clone().prop_map(|payment| Act::Deferred { payment }),
        1 => place.clone().prop_map(|payment| Act::Session { payment }),
        4 => (place.clone(), state.clone()).prop_map(|(refund, state)| Act::RefundNews { refund, state }),
        1 => place.clone().prop_map(|refund| Act::RefundRefused { refund }),
        2 => (place.clone(), 0..3_u8, state, 1..700_i64).prop_map(|(payment, name, state, amount_minor)| {
            Act::Foreign { payment, name, state, amount_minor }
        }),
        1 => (place, 0..2_u8, dispute).prop_map(|(payment, name, state)| Act::Dispute { payment, name, state }),
        1 => Just(Act::Cancel),
        1 => (1..HELD_UNTIL_MS).prop_map(|ms| Act::Time { ms }),
    ]
}

impl Play {
    fn act(&mut self, act: Act) {
        let payment = |place: usize| self.order.payments.get(place).map(|one| one.id);
        let refund = |place: usize| self.order.refunds.get(place).cloned();
        let news = match act {
            Act::Pay => {
                let _ = self.order.begin_payment(PaymentId::new(), PaymentMethod::HostedPage, None, self.now_ms);
                None
            }
            Act::Refund { amount_minor } => {
                let _ = self.order.begin_refund(RefundId::new(), Some(money(amount_minor)), None, self.now_ms);
                None
            }
            Act::Intent { payment: place, status, received_minor } => payment(place).map(|id| {
                let mut news = intent(id, status);
                if let (News::Intent { received, .. }, IntentStatus::Succeeded) = (&mut news, status) {
                    *received = money(received_minor);
                }
                news
            }),
            Act::Dead { payment: place } => {
                payment(place).map(|payment| News::PaymentDead { payment, failure: "expired".into() })
            }
            Act::Unanswered { payment: place } => payment(place).map(|payment| News::PaymentUnanswered { payment }),
            Act::Deferred { payment: place } => payment(place).map(|payment| News::PaymentDeferred { payment }),
            Act::Session { payment: place } => payment(place).map(|payment| News::Session {
                payment,
                session: format!("cs_{payment}"),
                hosted_url: Some("https://pay.example".into()),
            }),
            Act::RefundNews { refund: place, state } => refund(place).map(|one| match state {
                RefundState::Unknown => News::RefundUnanswered { refund: one.id },
                state => refunded(one.payment, Some(one.id), "", state, one.amount.amount_minor()),
            }),
            Act::RefundRefused { refund: place } => {
                refund(place).map(|one| News::RefundRefused { refund: one.id, failure: "refused".into() })
            }
            Act::Foreign { payment: place, name, state, amount_minor } => {
                payment(place).map(|id| refunded(id, None, &format!("re_{name}"), state, amount_minor))
            }
            Act::Dispute { payment: place, name, state } => {
                payment(place).map(|payment| News::Dispute(Dispute { id: format!("dp_{name}"), payment, state }))
            }
            Act::Cancel => Some(News::CancelRequested),
            Act::Time { ms } => {
                self.now_ms += ms;
                Some(News::HoldOver)
            }
        };
        if let Some(news) = news {
            self.tell(&news);
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_books_are_right(acts in prop::collection::vec(acts(), 0..60)) {
        let mut play = Play::new();
        for act in acts {
            play.act(act);
        }
    }
}
