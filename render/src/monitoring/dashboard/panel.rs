//! Panels and rows, and their positions on the grid.

use serde_json::{Map, Value, json};

/// Width of the grid.
const COLUMNS: u32 = 24;

/// A titled row of panels, from left to right.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
}

impl Row {
    /// The row without panels whose queries have no series; `None` if no panel is left.
    pub(super) fn keeping(self, finds: &impl Fn(&str) -> bool) -> Option<Self> {
        let panels: Vec<_> = self.panels.into_iter().filter_map(|panel| panel.keeping(finds)).collect();
        (!panels.is_empty()).then_some(Self { panels, ..self })
    }
}

/// One panel.
pub(super) struct Panel {
    kind: &'static str,
    title: String,
    description: String,
    size: (u32, u32),
    targets: Vec<Value>,
    defaults: Map<String, Value>,
    options: Value,
    transformations: Vec<Value>,
}

/// The variable with which the reader picks Prometheus.
pub(super) fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

impl Panel {
    /// Lines over time.
    pub(super) fn lines(title: impl Into<String>, unit: &str, description: impl Into<String>) -> Self {
        let options = json!({
            "legend": { "calcs": ["lastNotNull", "max"], "displayMode": "table" }, "tooltip": { "mode": "multi" },
        });
        let custom = json!({ "showPoints": "never" });
        Self::new("timeseries", title, unit, description)
            .size(8, 8)
            .options(options)
            .default("custom", custom)
            .default("min", json!(0))
    }

    /// Stacked lines.
    pub(super) fn stacked(title: &str, unit: &str, description: &str) -> Self {
        let custom =
            json!({ "fillOpacity": 40, "showPoints": "never", "stacking": { "group": "A", "mode": "normal" } });
        Self::lines(title, unit, description).default("custom", custom)
    }

    /// One current number.
    pub(super) fn number(title: impl Into<String>, unit: &str, description: impl Into<String>) -> Self {
        // Grafana's own thresholds would colour a number red from 80 on.
        Self::new("stat", title, unit, description).size(4, 4).thresholds(&[])
    }

    /// A panel of another type; its options follow. What is not set is as Grafana has it by default: a dashboard has to stay small,
    /// and 36 panels would each repeat it.
    pub(super) fn new(
        kind: &'static str,
        title: impl Into<String>,
        unit: &str,
        description: impl Into<String>,
    ) -> Self {
        let panel = Self {
            kind,
            title: title.into(),
            description: description.into(),
            size: (12, 8),
            targets: vec![],
            defaults: Map::new(),
            options: json!({}),
            transformations: vec![],
        };
        panel.default("unit", json!(unit))
    }

    pub(super) fn size(self, width: u32, height: u32) -> Self {
        Self { size: (width, height), ..self }
    }

    pub(super) fn options(self, options: Value) -> Self {
        Self { options, ..self }
    }

    pub(super) fn default(mut self, name: &str, value: Value) -> Self {
        self.defaults.insert(name.into(), value);
        self
    }

    pub(super) fn transform(mut self, id: &str, options: &Value) -> Self {
        self.transformations.push(json!({ "id": id, "options": options }));
        self
    }

    /// Sets colours from a value on; below the first value the panel is green.
    pub(super) fn thresholds(self, steps: &[(f64, &str)]) -> Self {
        self.thresholds_from("green", steps)
    }

    /// Sets colours from a value on; the first colour has no lower bound, which Grafana spells `null`.
    pub(super) fn thresholds_from(self, first: &str, steps: &[(f64, &str)]) -> Self {
        let mut all = vec![json!({ "color": first, "value": null })];
        all.extend(steps.iter().map(|(value, color)| json!({ "color": color, "value": value })));
        self.default("thresholds", json!({ "mode": "absolute", "steps": all }))
    }

    /// Draws the thresholds as lines.
    pub(super) fn threshold_lines(mut self) -> Self {
        if let Some(custom) = self.defaults.get_mut("custom").and_then(Value::as_object_mut) {
            custom.insert("thresholdsStyle".into(), json!({ "mode": "dashed" }));
        }
        self
    }

    /// Adds a query over the time range of the dashboard. The legend may name labels, as `{{pod}}`.
    pub(super) fn query(self, legend: &str, expr: impl Into<String>) -> Self {
        self.target(json!({ "expr": quoted(expr), "legendFormat": legend }))
    }

    /// Adds a query of the current value.
    pub(super) fn now(self, legend: &str, expr: impl Into<String>) -> Self {
        self.target(json!({ "expr": quoted(expr), "legendFormat": legend, "instant": true }))
    }

    /// Adds a query of the current values, whose result is a table.
    pub(super) fn table(self, expr: impl Into<String>) -> Self {
        self.target(json!({ "expr": quoted(expr), "format": "table", "instant": true, "legendFormat": "" }))
    }

    /// Adds a query whose series are the buckets of a heatmap.
    pub(super) fn buckets(self, expr: impl Into<String>) -> Self {
        self.target(json!({ "expr": quoted(expr), "format": "heatmap", "legendFormat": "{{le}}" }))
    }

    /// Shows the exemplars of the last query: traced requests as dots, which lead to their traces. Others of the same series would
    /// draw the same dots.
    pub(super) fn exemplars(mut self) -> Self {
        if let Some(target) = self.targets.last_mut().and_then(Value::as_object_mut) {
            target.insert("exemplar".into(), json!(true));
        }
        self
    }

    /// The panel without queries that have no series; `None` if it had queries and none is left.
    pub(super) fn keeping(mut self, finds: &impl Fn(&str) -> bool) -> Option<Self> {
        let had_queries = !self.targets.is_empty();
        self.targets.retain(|target| target["expr"].as_str().is_none_or(finds));
        (!had_queries || !self.targets.is_empty()).then_some(self)
    }

    fn target(mut self, mut target: Value) -> Self {
        // What is not set: the data source is that of the panel, the time that of the dashboard, the legend the labels.
        if let Some(fields) = target.as_object_mut() {
            fields.retain(|_, value| value != "");
        }
        target["refId"] = json!(char::from(b'A' + u8::try_from(self.targets.len()).unwrap_or(25)).to_string());
        self.targets.push(target);
        self
    }

    fn json(self, id: usize, x: u32, y: u32) -> Value {
        let (w, h) = self.size;
        let mut panel = json!({
            "datasource": datasource(),
            "description": self.description,
            "fieldConfig": { "defaults": self.defaults, "overrides": [] },
            "gridPos": { "h": h, "w": w, "x": x, "y": y },
            "id": id,
            "targets": self.targets,
            "title": self.title,
            "type": self.kind,
        });
        if self.options.as_object().is_some_and(|options| !options.is_empty()) {
            panel["options"] = self.options;
        }
        if !self.transformations.is_empty() {
            panel["transformations"] = json!(self.transformations);
        }
        panel
    }
}

/// An expression with single quotes, which JSON does not escape.
fn quoted(expr: impl Into<String>) -> String {
    let expr = expr.into();
    if expr.contains('\'') || expr.contains("\\\"") { expr } else { expr.replace('"', "'") }
}

/// The rows with identifiers and positions: panels fill one line, then the next.
pub(super) fn place(rows: Vec<Row>) -> Vec<Value> {
    let mut placed = vec![];
    let mut y = 0;
    for row in rows {
        let id = placed.len() + 1;
        placed.push(json!({
            "collapsed": false, "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y }, "id": id, "panels": [], "title": row.title, "type": "row",
        }));
        y += 1;
        let (mut x, mut height) = (0, 0);
        for panel in row.panels {
            let (w, h) = panel.size;
            if x + w > COLUMNS {
                (x, y, height) = (0, y + height, 0);
            }
            placed.push(panel.json(placed.len() + 1, x, y));
            x += w;
            height = height.max(h);
        }
        y += height;
    }
    placed
}
