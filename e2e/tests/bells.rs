//! A short form of `make bench-alerts`: three faults in real pods, what is heard of each, and a healthy model beside them.

use anyhow::ensure;
use belfry_e2e::bells::compress::Factor;
use belfry_e2e::bells::report::FIRST_PAGE;
use belfry_e2e::bells::{Options, run};
use belfry_e2e::bench::measurement::table;
use belfry_e2e::{TestResult, alone_in_the_cluster};

#[tokio::test]
async fn each_fault_is_heard_once_and_of_a_healthy_model_nothing_is_heard() -> TestResult {
    let test = alone_in_the_cluster("bells", async |namespace| {
        let only = ["well-60", "outage", "idle", "connections"].map(str::to_owned).to_vec();
        let folder = namespace.cluster.state.join("e2e/bells");
        let options = Options { seeds: vec![1], factor: Factor(10), only, folder };
        let mut measured = Box::pin(run(namespace, &options)).await?;
        // How soon is a measurement, and depends on the machine.
        measured.retain(|measurement| !measurement.metric.contains(FIRST_PAGE));
        ensure!(measured.iter().all(|measurement| measurement.holds != Some(false)), "\n{}", table(&measured));
        Ok(())
    });
    Box::pin(test).await
}
