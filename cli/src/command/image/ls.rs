//! `vdeploy image ls`.

use jiff::Timestamp;
use serde_json::json;
use vdeploy_runtime::catalog::Catalog;

use crate::error::{Exit, Result};
use crate::image::{self, BuiltImage};
use crate::resource::bytes_text;
use crate::settings::Settings;
use crate::ui::table::Table;

/// List the images that vdeploy has built on this machine, and which functions run in them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: &Args, settings: &Settings) -> Result<Exit> {
    let docker = super::docker(settings).await?;
    let images = image::list(&docker).await.map_err(super::engine_failed)?;
    let home = settings.home.root().display().to_string();
    let images = images.into_iter().filter(|image| image.home == home);
    let images: Vec<_> = images.map(|image| (users(settings, &image), image)).collect();
    let printer = settings.printer;
    if printer.json {
        let row = |(users, image): &(Vec<String>, BuiltImage)| {
            let mut value = json!(image);
            value["used_by"] = json!(users);
            value
        };
        printer.data_json(&images.iter().map(row).collect::<Vec<_>>())?;
        return Ok(Exit::Ok);
    }
    if images.is_empty() {
        printer.note("no images were built; `vdeploy image build` builds those of the manifest");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["image", "reference", "size", "built", "used by"]);
    for (users, image) in images {
        let built = Timestamp::from_second(image.created).unwrap_or_default();
        table.row([
            image.image,
            image.reference,
            size(image.bytes),
            built.strftime("%F %R UTC").to_string(),
            users.join(", "),
        ]);
    }
    printer.data(table.to_string().trim_end())?;
    Ok(Exit::Ok)
}

/// The deployed functions that run in `image`.
pub(super) fn users(settings: &Settings, image: &BuiltImage) -> Vec<String> {
    let Some(environment) = image.image.split('/').next() else { return Vec::new() };
    let catalog = Catalog::new(settings.home.environment(environment));
    let names = catalog.list().unwrap_or_default().into_iter();
    let functions = names.filter_map(|name| Some(catalog.read(&name).ok()??.function));
    let users = functions.filter(|function| {
        function.container.as_ref().is_some_and(|container| container.image == image.reference)
    });
    users.map(|function| format!("{}/{}", function.app, function.name)).collect()
}

fn size(bytes: u64) -> String {
    bytes_text(bytes >> 20 << 20)
}
