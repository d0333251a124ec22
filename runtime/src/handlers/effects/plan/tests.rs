use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::encode::Frames;
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::{Encoder, VideoCodec};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::input::Source;
use crate::ffmpeg::job::InputFormat;
use crate::ffmpeg::probe::{Kind, Stream};

fn media(change: impl FnOnce(&mut VideoStream)) -> Media {
    let mut picture = VideoStream {
        width: 640,
        height: 360,
        pixel_format: "yuv420p".into(),
        bits: 8,
        average_rate: Rational::new(25, 1),
        base_rate: Rational::new(25, 1),
        space: Some("bt709".into()),
        ..VideoStream::default()
    };
    change(&mut picture);
    let kind = Kind::Video(Box::new(picture));
    let video = Stream { codec: "h264".into(), kind, ..Stream::default() };
    Media { format: "mov,mp4".into(), streams: vec![video], ..Media::default() }
}

fn material() -> Material {
    let size = (100, 100);
    let beach =
        Picture { path: "/in/b.png".into(), format: InputFormat::Media, size, alpha: false };
    Material {
        tables: vec![(0, "/tmp/c/table-0.cube".into())],
        images: vec![(1, beach)],
        shakes: "/tmp/c/shakes.trf".into(),
    }
}

fn args(chain: Value) -> Args {
    serde_json::from_value(json!({ "input": "in.mp4", "chain": chain })).unwrap()
}

const PLACE: (&str, &str) = ("/in/i.mp4", "/out/o.mp4");

fn place() -> Place<'static> {
    static INPUT: LazyLock<Source> = LazyLock::new(|| Source::from(PLACE.0));
    let output = Path::new(PLACE.1);
    Place { input: &INPUT, name: "i.mp4", output, container: Container::Mp4 }
}

fn graph(chain: Value, media: &Media) -> String {
    let machine = Capabilities {
        software: [(VideoCodec::H264, Encoder::X264)].into(),
        ..Capabilities::default()
    };
    let how = (place(), &material());
    let plan = plan(&args(chain), Hardware::Off, media, &machine, how).unwrap();
    assert_eq!((plan.expect[0].size, plan.expect[0].frames), ((640, 360), Frames::Every));
    plan.job.graph.to_string()
}

#[test]
fn effects_come_one_after_the_other() {
    let chain = json!([
        { "effect": "lut", "file": "a.cube" },
        { "effect": "denoise" },
        { "effect": "color", "contrast": 1.2, "saturation": 0.5 },
        { "effect": "sharpen", "strength": 0.8 },
    ]);
    insta::assert_snapshot!(graph(chain, &media(|_| {})), @"[0:0]format=pix_fmts=yuv420p[l0];[l0]format=pix_fmts=gbrp,lut3d=file=/tmp/c/table-0.cube,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuv420p[l1];[l1]hqdn3d=luma_spatial=4.0000:chroma_spatial=3.0000:luma_tmp=6.0000:chroma_tmp=4.5000[l2];[l2]eq=brightness=0.0000:contrast=1.2000:saturation=0.5000:gamma=1.0000[l3];[l3]unsharp=luma_amount=0.8000[l4];[l4]format=pix_fmts=yuv420p[l5]");
}

#[test]
fn a_key_is_laid_over_what_comes_instead() {
    let chain = json!([
        { "effect": "deinterlace" },
        { "effect": "chroma_key", "image": "b.png" },
    ]);
    // What says that it is interlaced isn't deinterlaced twice.
    insta::assert_snapshot!(graph(chain, &media(|video| video.interlaced = true)), @"[0:0]bwdif=mode=send_frame:deint=interlaced,setsar=sar=1,format=pix_fmts=yuv420p[l0];[l0]split=outputs=2[l1][l2];[1:0]trim=end_frame=1,format=pix_fmts=rgba,scale=w=640:h=640:eval=frame,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p[l3];[l1][l3]overlay=x=0:y=-140:format=yuv420[l4];[l2]chromakey=color=0xad2a1a:yuv=1:similarity=0.1500:blend=0.0500[l5];[l4][l5]overlay=x=0:y=0:format=yuv420[l6];[l6]format=pix_fmts=yuv420p[l7]");
}

#[test]
fn shaking_is_looked_at_before_it_is_taken_out() {
    let chain = json!([
        { "effect": "blur", "sigma": 1 },
        { "effect": "stabilise", "smoothing": 1 },
        { "effect": "edges" },
    ]);
    let media = media(|_| {});
    let first = shakes(&args(chain.clone()), &media, (place(), &material())).unwrap().unwrap();
    insta::assert_snapshot!(first.0.graph, @"[0:0]format=pix_fmts=yuv420p[l0];[l0]gblur=sigma=1.000[l1];[l1]vidstabdetect=result=/tmp/c/shakes.trf[l2]");
    insta::assert_snapshot!(graph(chain, &media), @"[0:0]format=pix_fmts=yuv420p[l0];[l0]gblur=sigma=1.000[l1];[l1]vidstabtransform=input=/tmp/c/shakes.trf:smoothing=25[l2];[l2]edgedetect=low=0.0800:high=0.2000[l3];[l3]format=pix_fmts=yuv420p[l4]");
}
