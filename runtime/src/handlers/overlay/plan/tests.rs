use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::encode::Frames;
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::VideoCodec;
use crate::ffmpeg::container::Container;
use crate::ffmpeg::input::Source;
use crate::ffmpeg::job::InputFormat;
use crate::ffmpeg::probe::{AudioStream, Kind, Stream, VideoStream};
use crate::gpu::{Bitstream, Gpu};

fn media() -> Media {
    let picture = VideoStream {
        width: 640,
        height: 360,
        pixel_format: "yuv420p".into(),
        bits: 8,
        average_rate: Rational::new(25, 1),
        base_rate: Rational::new(25, 1),
        space: Some("bt709".into()),
        ..VideoStream::default()
    };
    let video = Stream {
        codec: "h264".into(),
        time_base: Rational::new(1, 12_800),
        kind: Kind::Video(Box::new(picture)),
        ..Stream::default()
    };
    let sound = AudioStream { sample_rate: 48_000, channels: 2, layout: Some("stereo".into()) };
    let audio =
        Stream { index: 1, codec: "aac".into(), kind: Kind::Audio(sound), ..Stream::default() };
    Media { format: "mov,mp4".into(), streams: vec![video, audio], ..Media::default() }
}

/// The filter graph and what follows it.
fn planned(mut json: Value, images: &[Picture], layers: &[Layer]) -> String {
    let texts = &Texts { layers: layers.into(), ..Texts::default() };
    json["input"] = "in.mp4".into();
    let args: Args = serde_json::from_value(json).unwrap();
    args.check().unwrap();
    let machine = Capabilities {
        software: [(VideoCodec::H264, Encoder::X264)].into(),
        ..Capabilities::default()
    };
    let (input, output) = (Source::from("/in/i.mp4"), Path::new("/out/o.mp4"));
    let place = Place { input: &input, name: "i.mp4", output, container: Container::Mp4 };
    let material = Material { images, texts, folder: Path::new("/tmp/c") };
    let plan = plan(&args, Hardware::Off, &media(), &machine, (place, material)).unwrap();
    assert_eq!(plan.expect[0].size, (640, 360));
    assert_eq!((plan.expect[0].audio, plan.expect[0].frames), (1, Frames::Every));
    let args = crate::ffmpeg::args::args(&plan.job);
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let graph = words.iter().position(|word| word == "-filter_complex").unwrap();
    words[graph + 1..].join(" ").replace(';', "\n")
}

#[test]
fn a_text_and_an_image_are_pictures_laid_over_the_video() {
    let logo = Picture {
        path: "/in/logo.png".into(),
        format: InputFormat::Media,
        size: (100, 50),
        alpha: true,
    };
    let format = InputFormat::Rgba { size: (80, 30) };
    let pixels = Pixels::File { path: "/tmp/c/text-0.rgba".into(), format, size: (80, 30) };
    let text = Layer::still(pixels, (280.0, 310.0), (80.0, 30.0));
    let args = json!({
        "texts": [{ "text": "Hello" }],
        "images": [{ "image": "logo.png", "width": "10%", "opacity": 0.5, "rotate": 90,
                     "start": 1, "end": 2.5 }],
    });
    insta::assert_snapshot!(planned(args, &[logo], &[text]), @r"
    [0:0]format=pix_fmts=yuv420p[l0]
    [1:0]trim=end_frame=1,format=pix_fmts=rgba,scale=w=64:h=32:eval=frame,rotate=angle=1.570796:ow=32:oh=64:fillcolor=none,colorchannelmixer=aa=0.5000,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p[l1]
    [l0][l1]overlay=x=566.4:y=-1.6:format=yuv420:enable=gte(t\,0.9995)*lt(t\,2.4995)[l2]
    [2:0]trim=end_frame=1,format=pix_fmts=rgba,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p[l3]
    [l2][l3]overlay=x=280:y=310:format=yuv420[l4] -map [l4] -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx264 -preset medium -crf 23 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4
    ");
}

#[test]
fn a_box_that_moves_is_four_bars() {
    let args = json!({ "highlights": [{ "thickness": 4, "keyframes": [
        { "at": 0, "x": 10, "y": 20, "width": 100, "height": 50 },
        { "at": 2, "x": "50%", "y": 20, "width": 100, "height": 50 },
    ] }] });
    insta::assert_snapshot!(planned(args, &[], &[]), @r"
    [0:0]format=pix_fmts=yuv420p[l0]
    color=color=0xffd400@1.0000:size=100x4:rate=1:duration=1,format=pix_fmts=rgba,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p[l1]
    [l0][l1]overlay=x=if(lt(t\,0)\,10\,if(lt(t\,2)\,10+t*(155)\,320)):y=20:format=yuv420[l2]
    color=color=0xffd400@1.0000:size=100x4:rate=1:duration=1,format=pix_fmts=rgba,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p[l3]
    [l2][l3]overlay=x=if(lt(t\,0)\,10\,if(lt(t\,2)\,10+t*(155)\,320)):y=66:format=yuv420[l4]
    color=color=0xffd400@1.0000:size=4x42:rate=1:duration=1,format=pix_fmts=rgba,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p[l5]
    [l4][l5]overlay=x=if(lt(t\,0)\,10\,if(lt(t\,2)\,10+t*(155)\,320)):y=24:format=yuv420[l6]
    color=color=0xffd400@1.0000:size=4x42:rate=1:duration=1,format=pix_fmts=rgba,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p[l7]
    [l6][l7]overlay=x=if(lt(t\,0)\,106\,if(lt(t\,2)\,106+t*(155)\,416)):y=24:format=yuv420[l8] -map [l8] -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx264 -preset medium -crf 23 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4
    ");
}

#[test]
fn an_ellipse_that_grows_stays_bright() {
    let args = json!({ "dim": 0.6, "highlights": [{ "shape": "ellipse", "start": 0.5, "keyframes": [
        { "at": 0, "x": 10, "y": 20, "width": 100, "height": 50 },
        { "at": 2, "x": 10, "y": 20, "width": 200, "height": 51 },
    ] }] });
    insta::assert_snapshot!(planned(args, &[], &[]), @r"
    [0:0]format=pix_fmts=yuv420p,setpts=expr=if(N\,max(PTS\,PREV_OUTPTS+1)\,PTS)[l0]
    [l0]split=outputs=2[l1][l2]
    [l1]lutyuv=y=minval+(val-minval)*0.4000:u=(minval+maxval)/2+(val-(minval+maxval)/2)*0.4000:v=(minval+maxval)/2+(val-(minval+maxval)/2)*0.4000:enable=gte(t\,0.4995)[l3]
    [l2]crop=w=200:h=52:x=clip(10\,0\,440):y=clip(20\,0\,308)[l4]
    [l4]split=outputs=2[l5][l6]
    [l6]lutyuv=y=16:u=128:v=128[l7]
    [1:0]trim=end_frame=1,format=pix_fmts=rgba,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p,loop=loop=-1:size=1,setpts=expr=N/(25/1)/TB,scale=w=clip(if(lt(t\,0)\,100\,if(lt(t\,2)\,100+t*(50)\,200))\,2\,16384):h=clip(if(lt(t\,0)\,50\,if(lt(t\,2)\,50+t*(0.5)\,51))\,2\,16384):eval=frame[l8]
    [l7][l8]overlay=x=(10)-(clip(10\,0\,440)):y=(20)-(clip(20\,0\,308)):format=yuv420:shortest=1,extractplanes=planes=y,lut=c0=clip((val-16)*255/219\,0\,255)[l9]
    [l5][l9]alphamerge[l10]
    [l3][l10]overlay=x=clip(10\,0\,440):y=clip(20\,0\,308):format=yuv420:enable=gte(t\,0.4995)[l11]
    [2:0]trim=end_frame=1,format=pix_fmts=rgba,scale=out_color_matrix=bt709:out_range=tv,format=pix_fmts=yuva420p,loop=loop=-1:size=1,setpts=expr=N/(25/1)/TB,scale=w=clip(if(lt(t\,0)\,100\,if(lt(t\,2)\,100+t*(50)\,200))\,2\,16384):h=clip(if(lt(t\,0)\,50\,if(lt(t\,2)\,50+t*(0.5)\,51))\,2\,16384):eval=frame[l12]
    [l11][l12]overlay=x=10:y=20:format=yuv420:shortest=1:enable=gte(t\,0.4995)[l13]
    [l13]select=expr=isnan(prev_pts)+gt(pts\,prev_pts)[l14] -map [l14] -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx264 -preset medium -crf 23 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4
    ");
}

#[test]
fn graphs_that_no_process_takes_are_refused() {
    let keyframes: Vec<_> = (0..2000)
        .map(|i| {
            json!({ "at": f64::from(i) / 3.0, "x": (i * 37) % 400, "y": (i * 53) % 200,
                         "width": 100 + i % 7, "height": 50 })
        })
        .collect();
    let args: Args = serde_json::from_value(json!({
        "input": "in.mp4", "highlights": [{ "keyframes": keyframes }] }))
    .unwrap();
    let machine = Capabilities {
        software: [(VideoCodec::H264, Encoder::X264)].into(),
        ..Capabilities::default()
    };
    let (path, input) = (Path::new("/v"), Source::from("/v"));
    let place = Place { input: &input, name: "i.mp4", output: path, container: Container::Mp4 };
    let material = Material { images: &[], texts: &Texts::default(), folder: path };
    let failure = plan(&args, Hardware::Off, &media(), &machine, (place, material)).unwrap_err();
    assert_eq!(failure.message, "the highlights have too many keyframes");
}

#[test]
fn what_is_said_of_texts_is_in_every_plan() {
    let args: Args =
        serde_json::from_value(json!({ "input": "in.mp4", "texts": [{ "text": "a" }] })).unwrap();
    let gpu = Gpu {
        index: 0,
        name: "NVIDIA L4".into(),
        encode: [(VideoCodec::H264, Ok(()))].into(),
        decode: Bitstream::ALL.map(|kind| (kind, Ok(()))).into(),
    };
    let machine = Capabilities {
        software: [(VideoCodec::H264, Encoder::X264)].into(),
        gpus: vec![gpu],
        no_gpu: None,
    };
    let (path, input) = (Path::new("/v"), Source::from("/v"));
    let place = Place { input: &input, name: "i.mp4", output: path, container: Container::Mp4 };
    let texts = &Texts { notes: vec!["no font has `a`".into()], ..Texts::default() };
    let material = Material { images: &[], texts, folder: path };
    let notes =
        |hardware| plan(&args, hardware, &media(), &machine, (place, material)).unwrap().notes;
    assert_eq!(notes(Hardware::Auto), ["drawn on the CPU, encoded on the GPU", "no font has `a`"]);
    // The plan that takes its place when the GPU fails.
    assert_eq!(notes(Hardware::Off), ["no font has `a`"]);
}
