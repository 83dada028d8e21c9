//! The inhibition table as rules of an AlertmanagerConfig, for the alerts of one model.

use belfry_crds::alertmanager::{InhibitRule, Matcher};

use super::{equal, one_of};
use crate::model::ValidModel;
use crate::monitoring::inhibition::{InhibitionRow, Match, TABLE};

/// The inhibition rules of a model.
pub(super) fn rules(model: &ValidModel) -> Vec<InhibitRule> {
    TABLE.iter().filter(|row| row.is_about_models()).map(|row| rule(model, row)).collect()
}

fn rule(model: &ValidModel, row: &InhibitionRow) -> InhibitRule {
    let subject = || [equal("namespace", &model.namespace), equal("model", &model.name)];
    let of_model = |matches: Vec<Match>| subject().into_iter().chain(matches.into_iter().map(matcher));
    InhibitRule {
        source_match: of_model(row.source()).collect(),
        target_match: of_model(row.target()).collect(),
        equal: row.equal().into_iter().map(str::to_owned).collect(),
    }
}

fn matcher(matched: Match) -> Matcher {
    match matched.values.as_slice() {
        [value] => equal(matched.label, value),
        values => one_of(matched.label, values),
    }
}
