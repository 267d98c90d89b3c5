//! What must always hold, whatever database it is. How each rule is looked after is each store's own.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    ChargedOnce,
    PaidIfCharged,
    RefundsAddUp,
    StockAddsUp,
    StockIsNotNegative,
    HoldsEndWithCheckouts,
    HoldsAreTheLines,
    SalesAreTheLines,
    StatesAgree,
    EventsAreTheTransitions,
    TotalsAddUp,
    AnswersAreNoFailures,
}

impl Rule {
    pub(crate) const ALL: [Self; 12] = [
        Self::ChargedOnce,
        Self::PaidIfCharged,
        Self::RefundsAddUp,
        Self::StockAddsUp,
        Self::StockIsNotNegative,
        Self::HoldsEndWithCheckouts,
        Self::HoldsAreTheLines,
        Self::SalesAreTheLines,
        Self::StatesAgree,
        Self::EventsAreTheTransitions,
        Self::TotalsAddUp,
        Self::AnswersAreNoFailures,
    ];

    /// As `checkout verify` tells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ChargedOnce => "charged_once",
            Self::PaidIfCharged => "paid_if_charged",
            Self::RefundsAddUp => "refunds_add_up",
            Self::StockAddsUp => "stock_adds_up",
            Self::StockIsNotNegative => "stock_is_not_negative",
            Self::HoldsEndWithCheckouts => "holds_end_with_checkouts",
            Self::HoldsAreTheLines => "holds_are_the_lines",
            Self::SalesAreTheLines => "sales_are_the_lines",
            Self::StatesAgree => "states_agree",
            Self::EventsAreTheTransitions => "events_are_the_transitions",
            Self::TotalsAddUp => "totals_add_up",
            Self::AnswersAreNoFailures => "answers_are_no_failures",
        }
    }
}
