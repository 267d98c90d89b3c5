//! What asks: wrk over HTTP/1.1, and h2load over HTTP/2, which wrk does not speak. Each is a process that says at its end
//! what it saw.

use std::fmt::Write as _;
use std::process::Command;

/// Requests that a connection of HTTP/2 has open at once: a page asks for a few things together. With the usual 16
/// connections that stays far below what an edge works on at once.
const STREAMS: u32 = 4;

/// What takes longer has failed. Without it, wrk would wait 2 s, and browsing a million products may take as long.
const WRK_TIMEOUT: &str = "30s";

/// What a client says of a run in which nothing failed.
pub struct Told {
    pub requests: f64,
    pub requests_per_s: f64,
    /// No numbers where the client does not tell them.
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Asks for all paths in turn, over and over. `flags` are those that both clients know.
pub fn wrk(url: &str, paths: &[String], seconds: u32, flags: &[String]) -> Told {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("paths.lua");
    let mut lua = String::from("local paths = {\n");
    paths.iter().for_each(|path| writeln!(lua, "  {path:?},").expect("a string takes all"));
    lua += "}\nlocal n = 0\nrequest = function() n = n % #paths + 1; return wrk.format('GET', paths[n]) end\n";
    std::fs::write(&script, lua).expect("a script");
    let text = said_by(
        Command::new("wrk")
            .args(["--latency", "--timeout", WRK_TIMEOUT, &format!("-d{seconds}s"), "-s"])
            .arg(&script)
            .args(flags)
            .arg(url),
    );
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let after =
        |mark: &str| text.split_once(mark).map(|(_, rest)| rest.split_whitespace().next().unwrap_or("")).expect(mark);
    let requests = text
        .split_once(" requests in")
        .and_then(|(head, _)| head.split_whitespace().last()?.parse().ok())
        .expect("a count");
    Told {
        requests,
        requests_per_s: after("Requests/sec:").parse().expect("a rate"),
        p50_ms: milliseconds(after("\n     50%")),
        p99_ms: milliseconds(after("\n     99%")),
    }
}

/// The same over HTTP/2, agreed on by ALPN where the URL is https. Each connection begins with the first path.
pub fn h2load(url: &str, paths: &[String], seconds: u32, flags: &[String]) -> Told {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let list = folder.path().join("paths");
    std::fs::write(&list, paths.join("\n")).expect("a list");
    // No warm-up: the server's CPU is that of the whole run, and requests of a warm-up are not counted.
    let (time, streams) = (format!("-D{seconds}s"), format!("-m{STREAMS}"));
    let text = said_by(Command::new("h2load").args(["-B", url, &time, &streams, "-i"]).arg(&list).args(flags));
    told_by_h2load(&text).unwrap_or_else(|| panic!("{text}"))
}

fn said_by(command: &mut Command) -> String {
    let program = command.get_program().display().to_string();
    let output = command.output().unwrap_or_else(|error| panic!("{program}, which make {program} installs: {error}"));
    let [text, faults] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{program}: {text}{faults}");
    text
}

/// None where anything failed, was answered with anything but 2xx, or went another way than by HTTP/2; h2load itself ends
/// well then, even when it reached nobody.
fn told_by_h2load(text: &str) -> Option<Told> {
    let after = |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark));
    let number = |mark: &str, unit: &str| -> Option<f64> {
        after(mark)?.split(", ").find_map(|part| part.strip_suffix(unit)?.parse().ok())
    };
    let mut bad = number("requests: ", " failed")?;
    for class in [" 3xx", " 4xx", " 5xx"] {
        bad += number("status codes: ", class)?;
    }
    let requests = number("requests: ", " succeeded")?;
    let is_http_2 = matches!(after("Application protocol: ")?, "h2" | "h2c");
    // Percentiles would take its log, which costs it a write a request on the cores that are measured.
    let (requests_per_s, p50_ms, p99_ms) = (number("finished in ", " req/s")?, f64::NAN, f64::NAN);
    (is_http_2 && bad == 0.0 && requests > 0.0).then_some(Told { requests, requests_per_s, p50_ms, p99_ms })
}

/// "1.23ms" and its kind, as wrk writes them.
fn milliseconds(text: &str) -> f64 {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let factor = match &text[split..] {
        "us" => 1e-3,
        "s" => 1e3,
        _ => 1.0,
    };
    text[..split].parse::<f64>().map_or(f64::NAN, |value| value * factor)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_run_of_h2load_counts_only_where_all_was_answered_well() {
        // A bench has no tests, and nothing to import for them.
        use super::told_by_h2load;
        let well = "\
Application protocol: h2c

finished in 4.00s, 3086.25 req/s, 6.58MB/s
requests: 12345 total, 12409 started, 12345 done, 12345 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 12348 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 26.31MB (27587311) total, 282.30KB (289075) headers (space savings 81.57%), 25.62MB (26864511) data
";
        let told = told_by_h2load(well).expect("nothing failed");
        assert_eq!((told.requests, told.requests_per_s), (12_345.0, 3_086.25));
        assert!(told_by_h2load(&well.replace("protocol: h2c", "protocol: h2")).is_some());
        for (good, bad) in [
            ("protocol: h2c", "protocol: http/1.1"),
            ("Application protocol: h2c\n", ""),
            ("12345 succeeded", "0 succeeded"),
            ("0 failed", "1 failed"),
            ("0 3xx", "1 3xx"),
            ("0 4xx", "1 4xx"),
            ("0 5xx", "1 5xx"),
            ("3086.25 req/s", "req/s"),
            ("status codes: ", "codes: "),
        ] {
            let text = well.replace(good, bad);
            assert!(text != well && told_by_h2load(&text).is_none(), "{bad}");
        }
    }
}
