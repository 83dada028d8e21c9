//! The order of the modules: a module uses those before it in its list, and none after it.

/// `render`, from the bottom up.
pub(crate) const RENDER: &[&str] = &[
    "problem",
    "quantity",
    "settings",
    "kind",
    "role",
    "engine",
    "template",
    "deployed",
    "model",
    "monitoring",
    "validate",
    "routing",
    "children",
];

/// `operator`, from the bottom up.
pub(crate) const OPERATOR: &[&str] = &[
    "metrics",
    "trace",
    "lease",
    "observe",
    "client",
    "drift",
    "fleet",
    "scrape",
    "scaling",
    "loaded",
    "prometheus",
    "evaluation",
    "apply",
    "status",
    "events",
    "upgrade",
    "controller",
    "args",
    "server",
    "run",
];
