//! What news does to disputes.

use super::*;

fn dispute(payment: PaymentId, id: &str, state: DisputeState) -> News {
    News::Dispute(Dispute { id: id.to_owned(), payment, state })
}

/// There was one state for all of them: a second one after the first was decided was not noticed.
#[test]
fn each_dispute_has_a_state_of_its_own() {
    let (mut play, payment) = Play::paid();
    for (id, state, together, version) in [
        ("dp_1", DisputeState::Open, DisputeState::Open, 3),
        ("dp_1", DisputeState::Won, DisputeState::Won, 4),
        ("dp_2", DisputeState::Open, DisputeState::Open, 5),
        ("dp_1", DisputeState::Open, DisputeState::Open, 5),
        ("dp_2", DisputeState::Lost, DisputeState::Lost, 6),
        ("dp_2", DisputeState::Open, DisputeState::Lost, 6),
        // A decision that was overturned.
        ("dp_2", DisputeState::Won, DisputeState::Won, 7),
        ("dp_2", DisputeState::Won, DisputeState::Won, 7),
    ] {
        play.tell(&dispute(payment, id, state));
        assert_eq!((play.order.dispute, play.order.version), (together, version), "{id} {state:?}");
    }
    play.tell(&dispute(PaymentId::new(), "dp_3", DisputeState::Open));
    assert_eq!(play.order.disputes.len(), 2, "that is of another order");
}
