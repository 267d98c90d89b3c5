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

/// Subscribers were told once more of each that was told before each had a state of its own.
#[test]
fn a_dispute_that_was_told_before_it_had_a_state_of_its_own_is_not_told_again() {
    for state in [DisputeState::Open, DisputeState::Won, DisputeState::Lost] {
        let (mut play, payment) = Play::paid();
        play.order.dispute = state;
        play.tell(&dispute(payment, "dp_1", state));
        assert_eq!((play.order.dispute, play.order.version), (state, 2), "{state:?}");
        assert_eq!(play.order.disputes.len(), 1, "{state:?}");
        play.tell(&dispute(payment, "dp_2", state));
        assert_eq!((play.order.disputes.len(), play.order.version), (2, 3), "another one, {state:?}");
    }
}

#[test]
fn only_another_decision_overturns_one() {
    let (mut play, payment) = Play::paid();
    let told = |id: &str, state: DisputeState| Dispute { id: id.to_owned(), payment, state };
    assert!(!play.order.is_overturned_by(&told("dp_1", DisputeState::Lost)), "it is not known");
    play.tell(&dispute(payment, "dp_1", DisputeState::Open));
    assert!(!play.order.is_overturned_by(&told("dp_1", DisputeState::Lost)), "it is open");
    play.tell(&dispute(payment, "dp_1", DisputeState::Lost));
    for (id, state, overturns) in [
        ("dp_1", DisputeState::Open, false),
        ("dp_1", DisputeState::Lost, false),
        ("dp_1", DisputeState::Won, true),
        ("dp_2", DisputeState::Won, false),
    ] {
        assert_eq!(play.order.is_overturned_by(&told(id, state)), overturns, "{id} {state:?}");
    }
    // Decided before each had a state of its own: whichever is told of may be the one.
    play.order.disputes.clear();
    for (state, overturns) in [(DisputeState::Open, true), (DisputeState::Lost, false), (DisputeState::Won, true)] {
        assert_eq!(play.order.is_overturned_by(&told("dp_1", state)), overturns, "{state:?}");
    }
    play.order.dispute = DisputeState::Open;
    assert!(!play.order.is_overturned_by(&told("dp_1", DisputeState::Won)), "it was open");
}
