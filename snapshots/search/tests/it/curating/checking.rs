//! What is told of rules that are at fault, or that can do nothing.

use search::Rules;
use snapshots::Catalogue;

use super::{SETTINGS, shop};

#[test]
fn rules_that_can_do_nothing_are_told() {
    let shop = shop(
        r#"
        [[synonyms]]
        words = ["sofa", "davenport"]
        [[synonyms]]
        from = "sofa bed"
        to = ["futon"]
        [[rules]]
        name = "over"
        when = { until = 2020-01-01T00:00:00Z }
        then = { hide = ["p0"] }
        [[rules]]
        name = "gone"
        when = { query_is = "sofa", filters = "brand:Nobody" }
        then = { pin = [{ id = "zzz", position = 1 }], boost = [{ filter = "brand:Noone", by = 1 }] }
        "#,
    );
    let findings = shop.index.check_rules("2026-06-15T12:00:00Z".parse().expect("a time"));
    let told = |list: &[String], part: &str| list.iter().any(|one| one.contains(part));
    assert_eq!(findings.faults.len(), 3, "{findings:?}");
    assert!(told(&findings.faults, "rule 'over': it has ended"));
    assert!(told(&findings.faults, "rule 'gone': pin 'zzz': there is no such product"));
    assert!(told(&findings.faults, "no product passes when.filters"));
    assert!(told(&findings.doubts, "no product has any of what 'sofa bed' may be"));
    assert!(!told(&findings.doubts, "davenport"), "a word that no product has is what synonyms are for");
    assert!(told(&findings.doubts, "rule 'gone': no product passes one of its filters"));
}

#[test]
fn what_can_never_fire_is_told() {
    let context = "c".repeat(65);
    let shop = shop(&format!(
        r#"
        [[replacements]]
        from = "settee"
        to = "davenport futon"
        [[hidden]]
        id = "p0"
        markets = ["us"]
        [[hidden]]
        id = "p1"
        until = 2026-06-01T00:00:00Z
        [[hidden]]
        id = "p3"
        markets = ["US"]
        [[rules]]
        name = "first"
        when = {{ query_is = "sofa" }}
        then = {{ pin = [{{ id = "p2", position = 1 }}, {{ id = "p0", position = 2 }}] }}
        [[rules]]
        name = "second"
        when = {{ query_is = "sofas", markets = ["us"] }}
        then = {{ pin = [{{ id = "p4", position = 1 }}, {{ id = "p0", position = 3 }}] }}
        [[rules]]
        name = "acme"
        then = {{ pin = [{{ id = "p2", position = 1 }}, {{ id = "p4", position = 2 }}], filter = "brand:Acme" }}
        [[rules]]
        name = "nowhere"
        when = {{ contexts = ["{context}"], markets = ["us", "E U"] }}
        then = {{ replace_query = "davenport" }}
        "#
    ));
    let findings = shop.index.check_rules("2026-06-15T12:00:00Z".parse().expect("a time"));
    let faults = [
        "rule 'second': pin 'p4': rule 'first', which holds whenever it does, has its position",
        "rule 'second': pin 'p0': it is hidden",
        "rule 'acme': pin 'p2': it does not pass the rule's own filters",
        "rule 'nowhere': when.markets: no market is called 'E U': names are 1 to 64 of a-z, 0-9, - and _",
        &format!("rule 'nowhere': when.contexts: '{context}' is longer than the 64 bytes that a request's may have"),
        "hidden 'p1': it has ended, and hides nothing any more",
        "hidden 'p3': markets: no market is called 'US': names are 1 to 64 of a-z, 0-9, - and _",
    ];
    assert_eq!(findings.faults, faults);
    let [replacement, rule] = findings.doubts.as_slice() else { panic!("{findings:?}") };
    assert!(replacement.contains("no product has any word of 'davenport futon'"), "{replacement}");
    assert_eq!(rule, "rule 'nowhere': replace_query: no product has any word of 'davenport'");
}

#[test]
fn what_stands_behind_its_like_is_told() {
    let many = (1..=33).map(|length| "x".repeat(length)).collect::<Vec<_>>().join(" ");
    let long = ["b", "c", "d", "f", "g", "h", "j", "k", "m"].map(|letter| letter.repeat(60)).join(" ");
    let shop = shop(&format!(
        r#"
        [[replacements]]
        from = "divan"
        to = "sofa"
        [[replacements]]
        from = "Divans"
        to = "couch"
        [[replacements]]
        from = "batteries"
        to = "set"
        [[replacements]]
        from = "batteries"
        to = "set"
        [[replacements]]
        from = "divan table"
        to = "table"
        [[rules]]
        name = "first"
        when = {{ query_is = "sofa" }}
        then = {{ replace_query = "couch", redirect = "/sofas" }}
        [[rules]]
        name = "second"
        when = {{ query_is = "sofas", markets = ["us"] }}
        then = {{ replace_query = "blue sofa", redirect = "/blue" }}
        [[rules]]
        name = "over"
        when = {{ query_is = "sofa", until = 2026-01-01T00:00:00Z }}
        then = {{ redirect = "/over" }}
        [[rules]]
        name = "any"
        when = {{ query_contains = "sofa" }}
        then = {{ redirect = "/any" }}
        [[rules]]
        name = "many"
        when = {{ query_is = "{many}" }}
        then = {{ redirect = "/many" }}
        [[rules]]
        name = "long"
        when = {{ query_contains = "{long}" }}
        then = {{ redirect = "/long" }}
        "#
    ));
    let findings = shop.index.check_rules("2026-06-15T12:00:00Z".parse().expect("a time"));
    let faults = [
        "rule 'second': replace_query: rule 'first', which holds whenever it does, has its own",
        "rule 'second': redirect: rule 'first', which holds whenever it does, has its own",
        "rule 'over': it has ended, and can never fire again",
        "rule 'many': when.query_is: it has 33 words, and of a query 32 count",
        "rule 'long': when.query_contains: it has words of 540 bytes, and a query has at most 512",
        "replacement 'Divans': it never becomes 'couch': 'divan' before it has the same words",
        "replacement 'batteries': it stands twice, before as 'batteries'",
    ];
    assert_eq!(findings.faults, faults);
}

/// Only rules with the very same filter were told.
#[test]
fn what_a_wider_rule_does_already_is_told() {
    let shop = shop(
        r#"
        [[rules]]
        name = "app"
        when = { contexts = ["app"] }
        then = { pin = [{ id = "p0", position = 1 }] }
        [[rules]]
        name = "cheap"
        when = { filters = "price<100" }
        then = { pin = [{ id = "p0", position = 1 }], redirect = "/cheap" }
        [[rules]]
        name = "cheaper"
        when = { filters = "price>=10 AND price<50" }
        then = { pin = [{ id = "p1", position = 1 }, { id = "p2", position = 2 }], redirect = "/cheaper" }
        [[rules]]
        name = "acme"
        when = { filters = "brand:Acme", contexts = ["app"] }
        then = { pin = [{ id = "p1", position = 1 }] }
        [[rules]]
        name = "any"
        then = { redirect = "/any" }
        [[rules]]
        name = "dear"
        when = { filters = "price>60" }
        then = { redirect = "/dear" }
        "#,
    );
    let findings = shop.index.check_rules("2026-06-15T12:00:00Z".parse().expect("a time"));
    let faults = [
        "rule 'cheaper': pin 'p1': rule 'cheap', which holds whenever it does, has its position",
        "rule 'cheaper': redirect: rule 'cheap', which holds whenever it does, has its own",
        "rule 'acme': pin 'p1': rule 'app', which holds whenever it does, has its position",
        "rule 'dear': redirect: rule 'any', which holds whenever it does, has its own",
    ];
    assert_eq!(findings.faults, faults);
}

#[test]
fn faults_name_the_rule() {
    let catalogue = Catalogue::parse(SETTINGS).expect("settings");
    let check = |text: &str, expected: &str| {
        let error = Rules::parse(text, &catalogue, None).err().expect(text).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let rule = |when: &str, then: &str| format!("[[rules]]\nname = \"r\"\nwhen = {{ {when} }}\nthen = {{ {then} }}\n");
    check(&rule("query_is = \"--\"", "hide = [\"a\"]"), "rule 'r': when.query_is: '--' has no word");
    check(&rule("query_is = \"a\", query_contains = \"b\"", "hide = [\"a\"]"), "one of query_is");
    check(&rule("", ""), "rule 'r': it does nothing");
    check(&rule("", "filter = \"colour:red\""), "filter: at character 0: 'colour' cannot be filtered by");
    check(&rule("", "pin = [{ id = \"a\", position = 0 }]"), "a position is from 1");
    check(&rule("", "bury = [{ filter = \"price<1\", by = 2 }]"), "at most 1");
    check(
        &rule("from = 2026-02-01T00:00:00Z, until = 2026-01-01T00:00:00Z", "hide = [\"a\"]"),
        "ends before it begins",
    );
    check(&rule("", "hide = [\"a\"]").repeat(2), "a name of its own");
    check(&rule("from = 2026-02-01", "hide = [\"a\"]"), "'2026-02-01' is no time with an offset");
    check("[[synonyms]]\nwords = [\"one\"]\n", "two or more words");
    check("[[synonym]]\n", "unknown field `synonym`");
}
