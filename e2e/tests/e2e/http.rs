//! Requests that can't be answered, and the errors that their callers get.

use anyhow::{Context, Result, ensure};
use belfry_crds::inference_model::{Queue, Runtime};
use belfry_e2e::{Answer, Served, TestResult, in_namespace, sample};
use futures::future::join_all;
use serde_json::{Value, json};

/// Path, body, and the status and code of the answer.
type Case = (&'static str, Vec<u8>, u16, &'static str);

fn cases() -> Vec<Case> {
    let openai = |body: Value, status, code| ("/v1/embeddings", body.to_string().into_bytes(), status, code);
    let tei = |body: Value, status, code| ("/embed", body.to_string().into_bytes(), status, code);
    let long = "word ".repeat(2000);
    vec![
        ("/v1/embeddings", b"{\"input\": [\"a\"".to_vec(), 400, "invalid_json"),
        ("/v1/embeddings", vec![], 400, "invalid_json"),
        ("/embed", b"not json".to_vec(), 400, "invalid_json"),
        openai(json!({}), 400, "invalid_input"),
        openai(json!({"input": 1.5}), 400, "invalid_input"),
        openai(json!({"input": {"text": "a"}}), 400, "invalid_input"),
        openai(json!({"input": ["a", 1]}), 400, "invalid_input"),
        openai(json!({"input": []}), 400, "invalid_input"),
        openai(json!({"input": ""}), 400, "invalid_input"),
        openai(json!({"input": ["a", ""]}), 400, "invalid_input"),
        openai(json!({"input": "a", "dimensions": 100_000}), 400, "invalid_input"),
        openai(json!({"input": long}), 400, "input_too_long"),
        openai(json!({"input": vec!["a"; 2049]}), 422, "too_many_inputs"),
        openai(json!({"input": "a", "model": "another"}), 404, "model_not_found"),
        tei(json!({"inputs": true}), 400, "invalid_input"),
        tei(json!({"inputs": [""]}), 400, "invalid_input"),
        tei(json!({"inputs": long}), 422, "input_too_long"),
        tei(json!({"inputs": vec!["a"; 257]}), 422, "too_many_inputs"),
        openai(json!({"input": "a".repeat(9 << 20)}), 413, "request_too_large"),
    ]
}

#[tokio::test]
async fn a_wrong_request_is_refused_in_openais_words() -> TestResult {
    in_namespace("http", async |ns| {
        let model = ns.serve_sample().await?;
        let mut wrong = vec![];
        for (path, body, status, code) in cases() {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let answer = model.post_bytes(path, body).await;
            if let Err(error) = answer.and_then(|answer| is_error(&answer, status, code)) {
                wrong.push(format!("{path} {shown}: {error:#}"));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        model.embed(&["A right request is answered."]).await.map(drop)
    })
    .await
}

fn is_error(answer: &Answer, status: u16, code: &str) -> Result<()> {
    ensure!(answer.status == status, "status {}, and not {status}: {}", answer.status, answer.body);
    let body = answer.json()?;
    // Routes of text-embeddings-inference have the flat errors of that server.
    let flat = body["error"].is_string();
    let error = if flat { &body } else { &body["error"] };
    ensure!(error["code"] == *code, "code {}, and not {code}: {error}", error["code"]);
    let (field, kind) = match (flat, status) {
        (true, 429) => ("error_type", "Overloaded"),
        (true, _) => ("error_type", "Validation"),
        (false, 429) => ("type", "rate_limit_error"),
        (false, _) => ("type", "invalid_request_error"),
    };
    ensure!(error[field] == *kind, "{field} {}, and not {kind}: {error}", error[field]);
    let fields = error.as_object().context("the error is no object")?;
    ensure!(fields.contains_key("param"), "no field param: {error}");
    let message = if flat { &error["error"] } else { &error["message"] };
    let message = message.as_str().unwrap_or_default();
    ensure!(!message.is_empty() && !message.contains('\n'), "message {message:?}");
    Ok(())
}

#[tokio::test]
async fn a_full_queue_asks_for_patience() -> TestResult {
    in_namespace("queue", async |ns| {
        ns.volume_with_model().await?;
        let mut wanted = sample("minilm")?;
        let queue = Queue { capacity: Some(8), request_timeout_ms: Some(20_000) };
        wanted.spec.runtime = Some(Runtime { queue: Some(queue), ..Default::default() });
        let model = ns.serve(&wanted).await?;
        model.until_serving().await?;
        let answers = join_all((0..24).map(|_| long_request(&model))).await;
        let (mut served, mut refused) = (0, 0);
        for answer in answers {
            let answer = answer?;
            if answer.status == 200 {
                served += 1;
                continue;
            }
            is_error(&answer, 429, "queue_full")?;
            let after = answer.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            ensure!(after.is_some_and(|seconds| seconds >= 1), "Retry-After is {after:?}");
            refused += 1;
        }
        ensure!(served > 0 && refused > 0, "{served} requests were answered and {refused} refused");
        model.embed(&["There is room again."]).await.map(drop)
    })
    .await
}

/// As many texts as the queue takes, each of some hundred tokens.
async fn long_request(model: &Served<'_>) -> Result<Answer> {
    let text = "a long text ".repeat(60);
    model.post("/v1/embeddings", &json!({"input": vec![text; 8]})).await
}
