//! Calls the function `echo` of the app `bench` again and again, each time waiting for the result,
//! and prints the median time of a call in milliseconds: `bench-warm-call CALLS`. The first call,
//! which starts the worker, isn't timed.

use std::error::Error;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vdeploy_runtime::client::Function;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let calls: usize = std::env::args().nth(1).ok_or("say how many calls")?.parse()?;
    let echo = Function::from_name("bench", "echo");
    call(&echo, 0).await?;
    let mut times = Vec::with_capacity(calls);
    for n in 1..=calls {
        times.push(call(&echo, n).await?);
    }
    times.sort();
    let median = times.get(calls / 2).ok_or("no call was timed")?;
    println!("{}", median.as_secs_f64() * 1000.0);
    Ok(echo.close().await?)
}

async fn call(echo: &Function, n: usize) -> Result<Duration, Box<dyn Error>> {
    let args = json!({ "n": n });
    let start = Instant::now();
    let result: Value = echo.call(&args).await?;
    let took = start.elapsed();
    if result != args {
        return Err(format!("`echo` returned {result} for {args}").into());
    }
    Ok(took)
}
