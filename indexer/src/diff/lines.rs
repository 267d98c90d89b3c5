//! What changed between two texts, line by line.

use serde::Serialize;

use super::fields::excerpt;

/// Lines that are told.
const MAX_LINES: usize = 200;
/// Beyond so many pairs of lines the longest common part is not looked for: all that lies between the first and the
/// last difference counts as changed.
const MAX_PAIRS: usize = 4_000_000;

/// The lines that one text lost and gained.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineDiff {
    pub removed: usize,
    pub added: usize,
    /// In the order of the texts, removed lines before the added ones that take their place.
    pub lines: Vec<ChangedLine>,
    /// Further ones.
    pub left_out: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedLine {
    pub change: LineChange,
    /// Where it stands in the text that has it, from 1.
    pub line: usize,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineChange {
    Removed,
    Added,
}

impl LineChange {
    pub fn sign(self) -> char {
        match self {
            Self::Removed => '-',
            Self::Added => '+',
        }
    }
}

/// Compares two texts.
pub(super) fn compare(before: &str, after: &str) -> LineDiff {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let first = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (old, new) = (&before[first..], &after[first..]);
    let last = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - last], &new[..new.len() - last]);

    let mut diff = LineDiff::default();
    let common = common_lines(old, new);
    let (mut at_old, mut at_new) = (0, 0);
    // After the last common line come the rest of both.
    for (next_old, next_new) in common.into_iter().chain([(old.len(), new.len())]) {
        (at_old..next_old).for_each(|at| diff.add(LineChange::Removed, first + at, old[at]));
        (at_new..next_new).for_each(|at| diff.add(LineChange::Added, first + at, new[at]));
        (at_old, at_new) = (next_old + 1, next_new + 1);
    }
    diff
}

impl LineDiff {
    fn add(&mut self, change: LineChange, at: usize, text: &str) {
        match change {
            LineChange::Removed => self.removed += 1,
            LineChange::Added => self.added += 1,
        }
        match self.lines.len() < MAX_LINES {
            true => self.lines.push(ChangedLine { change, line: at + 1, text: excerpt(text, 0) }),
            false => self.left_out += 1,
        }
    }
}

/// The places of a longest common subsequence in both texts, rising: the table of Wagner and Fischer, filled from the
/// end.
fn common_lines(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > MAX_PAIRS {
        return Vec::new();
    }
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = match old[i] == new[j] {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut common = Vec::new();
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            common.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, expected: &[&str]) {
        let diff = compare(before, after);
        let lines: Vec<String> =
            diff.lines.iter().map(|line| format!("{}{} {}", line.change.sign(), line.line, line.text)).collect();
        assert_eq!(lines, expected, "{before:?} {after:?}");
        assert_eq!(diff.removed + diff.added, lines.len() + diff.left_out);
    }

    #[test]
    fn lines_are_told_where_they_stand() {
        check("", "", &[]);
        check("a\nb\nc\n", "a\nb\nc", &[]);
        check("a\nb\nc\n", "a\nx\nc\n", &["-2 b", "+2 x"]);
        check("a\nb\n", "a\nb\nc\n", &["+3 c"]);
        check("", "a\n", &["+1 a"]);
        check("a\nb\nc\nd\n", "b\nd\ne\n", &["-1 a", "-3 c", "+3 e"]);
        check("a\na\n", "a\n", &["-2 a"]);
    }

    #[test]
    fn long_changes_are_bounded() {
        let long = |word: &str| (0..3_000).map(|line| format!("{word} {line}\n")).collect::<String>();
        let diff = compare(&long("old"), &long("new"));
        assert_eq!((diff.removed, diff.added, diff.lines.len(), diff.left_out), (3_000, 3_000, MAX_LINES, 5_800));
    }
}
