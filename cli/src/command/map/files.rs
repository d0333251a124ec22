//! Files of this machine that the inputs of a map name: brought to where the function runs before the
//! first call, and its outputs back after each.

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use futures::{StreamExt, TryStreamExt};
use vdeploy_runtime::client::{Sender, SentFiles};

use super::inputs::Prepared;
use crate::error::{CliError, Result};

/// Inputs whose files are on their way at the same time.
const AT_ONCE: usize = 16;

/// What of which call is to be brought back.
pub(super) type Sent = HashMap<u64, SentFiles>;

/// Brings the files along, and has the inputs name them there. They are named by their content and
/// by `map`, so that the same map run again has the same inputs.
pub(super) async fn send(
    prepared: Prepared,
    sender: &Sender,
    map: &str,
) -> Result<(Prepared, Sent)> {
    let Prepared { count, refused, .. } = prepared;
    let file = tempfile::tempfile()?;
    let mut writer = BufWriter::new(file.try_clone()?);
    let send = async |(index, mut values)| {
        let files = sender.send(&mut values, &format!("{map}/{index}")).await?;
        Ok::<_, CliError>((index, values, files))
    };
    let inputs = (0_u64..).zip(prepared.inputs()?);
    let mut inputs = futures::stream::iter(inputs).map(send).buffered(AT_ONCE);
    let mut sent = Sent::new();
    while let Some((index, values, files)) = inputs.try_next().await? {
        writeln!(writer, "{values}")?;
        if files.has_outputs() {
            sent.insert(index, files);
        }
    }
    writer.flush()?;
    Ok((Prepared { file, count, refused }, sent))
}
