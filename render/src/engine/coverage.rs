//! Which of Belfry's series an engine has, and so which expressions can be evaluated.

use belfry_crds::contract::metric::{Exporter, Kind};
use belfry_crds::contract::metrics;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, VectorSelector};

use super::Mapping;

/// Whether an engine with these mappings has every series of a worker that an expression reads. Series of the operator,
/// of Prometheus and of other rules always exist.
#[must_use]
pub fn offers(mappings: &[Mapping], expression: &str) -> bool {
    // Grafana replaces this variable; the parser does not know it.
    let Ok(tree) = parser::parse(&expression.replace("$__rate_interval", "1m")) else { return false };
    selectors(&tree).into_iter().all(|selector| exists(mappings, selector))
}

/// Every selector of an expression.
///
/// `walk_expr` of the parser's library skips the parameter of an aggregation, and so the series in `topk(scalar(a), b)`; a
/// test shows it. The parser never makes an `Extension`.
#[must_use]
pub fn selectors(expression: &Expr) -> Vec<&VectorSelector> {
    let mut found = vec![];
    walk(expression, &mut found);
    found
}

fn walk<'a>(expression: &'a Expr, found: &mut Vec<&'a VectorSelector>) {
    match expression {
        Expr::Aggregate(e) => {
            walk(&e.expr, found);
            e.param.iter().for_each(|param| walk(param, found));
        }
        Expr::Unary(e) => walk(&e.expr, found),
        Expr::Binary(e) => [&e.lhs, &e.rhs].into_iter().for_each(|side| walk(side, found)),
        Expr::Paren(e) => walk(&e.expr, found),
        Expr::Subquery(e) => walk(&e.expr, found),
        Expr::VectorSelector(selector) => found.push(selector),
        Expr::MatrixSelector(e) => found.push(&e.vs),
        Expr::Call(e) => e.args.args.iter().for_each(|argument| walk(argument, found)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn exists(mappings: &[Mapping], selector: &VectorSelector) -> bool {
    let Some(name) = selector.name.as_deref() else { return true };
    if !is_a_workers(name) {
        return true;
    }
    mappings.iter().any(|mapping| {
        let is_named = mapping.suffixes().iter().any(|suffix| name.strip_suffix(suffix) == Some(mapping.ours.name));
        is_named && selector.matchers.matchers.iter().all(|matcher| admits(matcher, mapping))
    })
}

fn is_a_workers(name: &str) -> bool {
    let mut workers = metrics::ALL.iter().filter(|metric| metric.exporter == Exporter::Worker);
    workers.any(|metric| match metric.kind {
        Kind::Histogram(_) => ["_bucket", "_sum", "_count"].iter().any(|s| name.strip_suffix(s) == Some(metric.name)),
        Kind::Counter | Kind::Gauge => name == metric.name,
    })
}

/// Whether the series of a mapping pass a matcher. Target labels always pass, since every pod has them.
fn admits(matcher: &Matcher, mapping: &Mapping) -> bool {
    if ["namespace", "model", "pod"].contains(&matcher.name.as_str()) {
        return true;
    }
    let passes = |value: &str| match &matcher.op {
        MatchOp::Equal => value == matcher.value,
        MatchOp::NotEqual => value != matcher.value,
        MatchOp::Re(regex) => regex.find(value).is_some_and(|found| found.len() == value.len()),
        MatchOp::NotRe(regex) => regex.find(value).is_none_or(|found| found.len() != value.len()),
    };
    if matcher.name == "le" {
        return mapping.bounds().any(|bound| passes(&bound));
    }
    passes(mapping.labels.get(&matcher.name).map_or("", String::as_str))
}

#[cfg(test)]
mod tests {
    use promql_parser::util::{ExprVisitor, walk_expr};

    use super::*;
    use crate::engine::EngineSeries;

    fn mappings() -> Vec<Mapping> {
        let requests = |status: &str| {
            Mapping::new(&metrics::REQUESTS, EngineSeries::new("done").equal("code", status))
                .standing_for("status", status)
        };
        let time = Mapping::new(&metrics::REQUEST_DURATION, EngineSeries::new("time")).standing_for("phase", "total");
        vec![requests("200"), requests("500"), time.thresholds(&["1s"])]
    }

    const EVERYWHERE: &str = "-sum(a) / on (x) (b offset 5m) + topk(scalar(c), d) or quantile by (x) (scalar(max(e)), f) \
        unless histogram_quantile(scalar(g), rate(h[5m])) > bool max_over_time(rate(i[5m])[1h:1m]) and count_values(\"x\", j)";

    #[test]
    fn selectors_are_found_wherever_they_are() {
        let tree = parser::parse(EVERYWHERE).unwrap();
        let mut names: Vec<_> = selectors(&tree).iter().filter_map(|selector| selector.name.as_deref()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    }

    /// When this fails, [`walk`] can go.
    #[test]
    fn the_librarys_own_walk_skips_parameters_of_aggregations() {
        struct Names(Vec<String>);
        impl ExprVisitor for Names {
            type Error = std::convert::Infallible;

            fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
                match expression {
                    Expr::VectorSelector(selector) => self.0.extend(selector.name.clone()),
                    Expr::MatrixSelector(selector) => self.0.extend(selector.vs.name.clone()),
                    _ => {}
                }
                Ok(true)
            }
        }
        let mut names = Names(vec![]);
        walk_expr(&mut names, &parser::parse(EVERYWHERE).unwrap()).unwrap();
        names.0.sort_unstable();
        assert_eq!(names.0, ["a", "b", "d", "f", "g", "h", "i", "j"]);
    }

    #[test]
    fn an_expression_is_offered_when_each_of_its_series_exists() {
        for expression in [
            "sum(rate(inference_requests_total{status=~\"5..\",namespace=\"a\"}[5m])) / sum(rate(inference_requests_total[5m]))",
            "rate(inference_request_duration_seconds_bucket{phase=\"total\",le=\"1.0\"}[$__rate_interval])",
            "rate(inference_request_duration_seconds_count{phase=\"total\"}[5m])",
            "up == 0 unless belfry_model_waiting_replicas > 0",
            "slo:errors:ratio_rate5m{slo=\"a\"} > 0.1",
        ] {
            assert!(offers(&mappings(), expression), "{expression}");
        }
    }

    #[test]
    fn an_expression_on_a_series_that_never_exists_is_not() {
        for expression in [
            "inference_queue_depth / inference_queue_capacity",
            "rate(inference_requests_total{status=\"429\"}[5m])",
            "rate(inference_request_duration_seconds_bucket{phase=\"total\",le=\"0.25\"}[5m])",
            "rate(inference_request_duration_seconds_sum{phase=\"queue\"}[5m])",
            "up == 0 or inference_model_loaded == 0",
            "no promql at all (",
        ] {
            assert!(!offers(&mappings(), expression), "{expression}");
        }
    }
}
