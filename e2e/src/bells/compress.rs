//! Compressed time: what is written for hours is read as minutes. Windows, offsets, pauses and intervals become shorter by one factor,
//! in rules, in Prometheus' configuration and in Alertmanager's. What a rule compares, such as 5 s of latency, stays as it is.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// By how much time is compressed; 1 leaves it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(pub u32);

impl Factor {
    /// A duration as Prometheus writes it, such as `1h30m`.
    pub fn duration(self, text: &str) -> Result<String> {
        let milliseconds = milliseconds(text).with_context(|| format!("{text:?} is no duration"))?;
        ensure!(
            milliseconds == 0 || milliseconds >= u64::from(self.0),
            "{text} is too short to be divided by {}",
            self.0
        );
        Ok(format!("{}ms", milliseconds / u64::from(self.0)))
    }

    /// The windows and offsets of an expression.
    pub fn expression(self, text: &str) -> Result<String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            let token = token(rest);
            let (mut next, mut written) = (&rest[token..], rest[..token].to_owned());
            if first == '[' {
                let inner = written.trim_matches(['[', ']']);
                let parts: Vec<_> = inner.split(':').map(|part| self.part(part)).collect::<Result<_>>()?;
                written = format!("[{}]", parts.join(":"));
            } else if written == "offset" {
                let pause = next.len() - next.trim_start().len();
                let end =
                    next[pause..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(next.len(), |end| pause + end);
                written = format!("offset {}", self.duration(&next[pause..end])?);
                next = &next[end..];
            }
            out += &written;
            rest = next;
        }
        Ok(out)
    }

    /// A part of `[1h:1m]`, whose second one may be empty.
    fn part(self, text: &str) -> Result<String> {
        if text.is_empty() { Ok(String::new()) } else { self.duration(text) }
    }

    /// A file of rules.
    pub fn rules(self, file: &mut Value) -> Result<()> {
        for group in list(file, "groups") {
            self.fields(group, &["interval"])?;
            for rule in list(group, "rules") {
                self.fields(rule, &["for", "keep_firing_for"])?;
                let expression = rule["expr"].as_str().context("a rule without an expression")?;
                rule["expr"] = self.expression(expression)?.into();
            }
        }
        Ok(())
    }

    /// Prometheus' configuration.
    pub fn prometheus(self, config: &mut Value) -> Result<()> {
        self.fields(&mut config["global"], &["scrape_interval", "scrape_timeout", "evaluation_interval"])?;
        for scrape in list(config, "scrape_configs") {
            self.fields(scrape, &["scrape_interval", "scrape_timeout"])?;
        }
        Ok(())
    }

    /// Alertmanager's configuration: the route and those below it.
    pub fn alertmanager(self, config: &mut Value) -> Result<()> {
        self.route(&mut config["route"])
    }

    fn route(self, route: &mut Value) -> Result<()> {
        self.fields(route, &["group_wait", "group_interval", "repeat_interval"])?;
        list(route, "routes").iter_mut().try_for_each(|below| self.route(below))
    }

    fn fields(self, object: &mut Value, names: &[&str]) -> Result<()> {
        for name in names {
            if let Some(text) = object.get(*name).and_then(Value::as_str) {
                object[*name] = self.duration(text)?.into();
            }
        }
        Ok(())
    }
}

/// The elements of a list that an object has under that name; none where it has none.
pub(super) fn list<'a>(object: &'a mut Value, name: &str) -> &'a mut [Value] {
    object.get_mut(name).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// Length of the first token: a text in quotes, a window in brackets, a word, or one character.
fn token(text: &str) -> usize {
    let first = text.chars().next().unwrap_or_default();
    match first {
        '"' | '\'' | '`' => quoted(text, first),
        '[' => text.find(']').map_or(text.len(), |end| end + 1),
        _ if is_word(first) => text.find(|c| !is_word(c)).unwrap_or(text.len()),
        _ => first.len_utf8(),
    }
}

/// Colons are a part of recorded names.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped && quote != '`';
    }
    text.len()
}

/// Seconds of a duration as Prometheus writes it.
pub(super) fn seconds(text: &str) -> Result<f64> {
    let milliseconds = milliseconds(text).with_context(|| format!("{text:?} is no duration"))?;
    Ok(Duration::from_millis(milliseconds).as_secs_f64())
}

/// `None` for what is no duration.
fn milliseconds(text: &str) -> Option<u64> {
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let unit = match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        sum = sum.checked_add(rest[..digits].parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEN: Factor = Factor(10);

    #[test]
    fn windows_and_offsets_shrink_and_nothing_else_does() {
        for (before, after) in [
            ("increase(x[5m]) > 300", "increase(x[30000ms]) > 300"),
            ("increase(x[1h] offset 1d)", "increase(x[360000ms] offset 8640000ms)"),
            ("max_over_time(up[1h30m:15s])", "max_over_time(up[540000ms:1500ms])"),
            ("rate(x[1h:])", "rate(x[360000ms:])"),
            (
                r#"slo:errors:ratio_rate5m{long="1h",a="[5m]"} > 1"#,
                r#"slo:errors:ratio_rate5m{long="1h",a="[5m]"} > 1"#,
            ),
            (
                r#"label_replace(x, "a", "\"[1h]", "", "") offset 1m"#,
                r#"label_replace(x, "a", "\"[1h]", "", "") offset 6000ms"#,
            ),
            ("offset_total - my_offset", "offset_total - my_offset"),
        ] {
            assert_eq!(TEN.expression(before).unwrap(), after);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_by_name() {
        for text in ["5", "m", "5x", "-1m", ""] {
            assert!(TEN.duration(text).is_err(), "{text}");
        }
        let error = TEN.expression("rate(x[$window])").unwrap_err();
        assert_eq!(error.to_string(), "\"$window\" is no duration");
        assert!(TEN.duration("9ms").is_err());
    }

    #[test]
    fn every_route_waits_for_a_shorter_time() {
        let mut config = json!({"route": {"group_wait": "10s", "routes": [{"repeat_interval": "4h", "routes": [{"group_interval": "5m"}]}]}});
        TEN.alertmanager(&mut config).unwrap();
        assert_eq!(
            config,
            json!({"route": {"group_wait": "1000ms", "routes": [{"repeat_interval": "1440000ms", "routes": [{"group_interval": "30000ms"}]}]}})
        );
    }

    #[test]
    fn a_rule_holds_for_a_shorter_time() {
        let mut file =
            json!({"groups": [{"interval": "15s", "rules": [{"alert": "A", "expr": "x[1m]", "for": "2m"}]}]});
        TEN.rules(&mut file).unwrap();
        assert_eq!(
            file,
            json!({"groups": [{"interval": "1500ms", "rules": [{"alert": "A", "expr": "x[6000ms]", "for": "12000ms"}]}]})
        );
    }
}
