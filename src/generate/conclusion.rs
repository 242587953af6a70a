//! The answer that a chain of thought ends with, and the one that most chains reach.

/// What stands before an answer that is said.
const SAID: [&str; 5] = ["answer is", "answer:", "答案是", "答案为", "答案："];

/// The answer that a chain of thought ends with: what follows the last "the answer is", else its
/// last number. `None` if it has neither.
pub fn conclusion(chain: &str) -> Option<String> {
    let lower = chain.to_ascii_lowercase();
    let said = SAID
        .iter()
        .filter_map(|mark| Some(lower.rfind(mark)? + mark.len()))
        .max();
    match said {
        Some(at) => answer_in(&chain[at..]),
        None => numbers(chain).pop(),
    }
}

/// The answer in what a model says when it is asked for it: the first number of its first line,
/// else that line without the marks around it. `None` if nothing is left.
pub fn answer_in(text: &str) -> Option<String> {
    let line = text.trim_start_matches([' ', ':', '：', '\n']);
    let line = line.lines().next().unwrap_or_default();
    let sentence = line.split(". ").next().unwrap_or_default();
    let sentence = sentence.split(['。', '！']).next().unwrap_or_default();
    numbers(sentence).into_iter().next().or_else(|| {
        let plain = sentence.trim_matches(|c: char| !c.is_alphanumeric());
        (!plain.is_empty()).then(|| plain.to_string())
    })
}

/// The decimal numbers of `text`, without the commas that group thousands and the zeros that say
/// nothing (`1,200.50` is `1200.5`). Fractions, ratios and times of day are one each: `3/4` (also
/// as LaTeX's `\frac{3}{4}`), `10:30`.
fn numbers(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.replace("}{", "/").replace('−', "-").chars().collect();
    let digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    let groups = |i: usize| (1..=3).all(|n| digit(i + n)) && !digit(i + 4);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        if !digit(at) {
            at += 1;
            continue;
        }
        // A minus between two terms is no sign.
        let sign = at >= 1 && chars[at - 1] == '-' && (at < 2 || !chars[at - 2].is_alphanumeric());
        let mut number = String::new();
        while digit(at) || (chars.get(at) == Some(&',') && groups(at)) {
            number.extend(Some(chars[at]).filter(|c| *c != ','));
            at += 1;
        }
        if chars.get(at) == Some(&'.') && digit(at + 1) {
            let digits = chars[at + 1..].iter().take_while(|c| c.is_ascii_digit());
            let fraction: String = std::iter::once(&'.').chain(digits).collect();
            at += fraction.len();
            number.push_str(fraction.trim_end_matches('0').trim_end_matches('.'));
        }
        while matches!(chars.get(at), Some('/' | ':')) && digit(at + 1) {
            number.push(chars[at]);
            at += 1;
            while digit(at) {
                number.push(chars[at]);
                at += 1;
            }
        }
        found.push(format!("{}{number}", if sign { "-" } else { "" }));
    }
    found
}

/// The answer that most chains reach, and how many do; of equals the one that was reached first.
/// Letter case does not count. `None` if no chain reached any.
pub fn majority(answers: &[Option<String>]) -> Option<(String, usize)> {
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    let mut best: Option<(String, usize)> = None;
    for answer in answers.iter().flatten() {
        let votes = answers.iter().flatten().filter(|a| same(a, answer)).count();
        if best.as_ref().is_none_or(|(_, most)| votes > *most) {
            best = Some((answer.clone(), votes));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_conclusion_is_what_is_said_last() {
        for (chain, wanted) in [
            ("3 + 4 = 7. The answer is 7.", "7"),
            ("The answer is 5. No, wait: 6. So the answer is 6", "6"),
            (
                "It costs $1,200.50 in all. The answer is $1,200.50.",
                "1200.5",
            ),
            ("12 - 3 = 9", "9"),
            ("3 - 5 = -2. The answer is -2.", "-2"),
            ("所以 9 + 13 = 22. 答案是 22。", "22"),
            ("The ANSWER IS (B).", "B"),
            ("The answer is about 40 dollars.", "40"),
            ("Answer: Paris", "Paris"),
            ("6/8 is the same as 3/4. The answer is 3/4.", "3/4"),
            ("The answer is \\(\\frac{3}{4}\\).", "3/4"),
            ("The answer is −5.", "-5"),
            ("So she comes at 10:30", "10:30"),
        ] {
            assert_eq!(conclusion(chain).as_deref(), Some(wanted), "{chain}");
        }
        assert_eq!(conclusion("I do not know"), None);
        assert_eq!(conclusion("The answer is"), None);
    }

    #[test]
    fn an_answer_is_read_from_its_line() {
        assert_eq!(answer_in(" 42.\nAnd more: 43").as_deref(), Some("42"));
        assert_eq!(answer_in("：三十六。").as_deref(), Some("三十六"));
        assert_eq!(answer_in(" 10-3").as_deref(), Some("10"));
        assert_eq!(answer_in(" . \n"), None);
        assert_eq!(
            numbers("1.50, 3,000,000 x-4 10-3 -6 1,2"),
            ["1.5", "3000000", "4", "10", "3", "-6", "1", "2"]
        );
    }

    #[test]
    fn the_majority_wins_and_ties_go_to_the_first() {
        let some = |answers: &[&str]| -> Vec<Option<String>> {
            let or_none = |a: &&str| (!a.is_empty()).then(|| a.to_string());
            answers.iter().map(or_none).collect()
        };
        let won = |answers: &[&str]| majority(&some(answers));
        assert_eq!(won(&["7", "8", "8", ""]), Some(("8".to_string(), 2)));
        assert_eq!(won(&["9", "7", "7", "9"]), Some(("9".to_string(), 2)));
        assert_eq!(won(&["", "Yes", "yes", "no"]), Some(("Yes".to_string(), 2)));
        assert_eq!(won(&["", ""]), None);
        assert_eq!(won(&[]), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = (conclusion(&text), answer_in(&text));
        }

        #[test]
        fn a_number_that_is_said_is_found(n in -99_999i64..99_999) {
            prop_assert_eq!(conclusion(&format!("So the answer is {n}.")), Some(n.to_string()));
            prop_assert_eq!(conclusion(&format!("因此答案是{n}。")), Some(n.to_string()));
        }
    }
}
