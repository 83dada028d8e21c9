//! A child that another manager changes again and again.

use std::time::Duration;

use super::selected::{status_after, status_from};
use super::*;
use crate::apply::Dispute;

fn disputed(rival: Option<&str>) -> InferenceModelStatus {
    let ends_in = Duration::from_secs(600);
    let dispute = Dispute { role: Role::Workers, name: "m".into(), rival: rival.map(Into::into), ends_in };
    status_after(Applied { disputes: vec![dispute], ..Applied::default() }, Selection::Unknown)
}

#[test]
fn a_child_in_dispute_is_named_with_its_rival() {
    let status = disputed(Some("argocd-controller"));
    assert_eq!(seen(&status, ConditionType::Reconciled), is("False", "Contested"));
    let message = &find(&status.conditions, ConditionType::Reconciled).unwrap().message;
    assert!(
        message.starts_with("argocd-controller changes Deployment m again and again; the operator sets"),
        "{message}"
    );
}

#[test]
fn a_child_that_is_deleted_again_and_again_has_no_rival_with_a_name() {
    let status = disputed(None);
    let message = &find(&status.conditions, ConditionType::Reconciled).unwrap().message;
    assert!(message.starts_with("Deployment m is changed or deleted again and again; "), "{message}");
}

#[test]
fn a_dispute_that_an_earlier_operator_named_is_named_on_in_its_words() {
    let named = disputed(Some("argocd-controller"));
    let after = |applied| status_from(Some(&named), applied, (Selection::Unknown, Evaluated::NotAsked));
    let inherited = Applied { is_dispute_inherited: true, ..Applied::default() };
    assert_eq!(after(inherited), named);
    let over = after(Applied::default());
    assert_eq!(find(&over.conditions, ConditionType::Reconciled), None);
}
