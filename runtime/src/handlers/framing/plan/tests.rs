use serde_json::{Value, json};

use super::*;
use crate::ffmpeg::codec::{Encoder, VideoCodec};
use crate::ffmpeg::input::Source;
use crate::ffmpeg::probe::{AudioStream, Kind};

/// 10 s of 1920x1080 at 25 frames per second, with stereo AAC.
fn media() -> Media {
    let picture = VideoStream {
        width: 1920,
        height: 1080,
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
        duration: Some(10.0),
        claimed_frames: Some(250),
        kind: Kind::Video(Box::new(picture)),
        ..Stream::default()
    };
    let sound = AudioStream { sample_rate: 48_000, channels: 2, layout: Some("stereo".into()) };
    let audio =
        Stream { index: 1, codec: "aac".into(), kind: Kind::Audio(sound), ..Stream::default() };
    let streams = vec![video, audio];
    Media { format: "mov,mp4".into(), duration: Some(10.0), streams, ..Media::default() }
}

fn planned(mut json: Value) -> Plan {
    json["input"] = "in.mp4".into();
    let args: Args = serde_json::from_value(json).unwrap();
    args.check().unwrap();
    let machine = Capabilities {
        software: [(VideoCodec::H264, Encoder::X264)].into(),
        ..Capabilities::default()
    };
    let (input, output) = (Source::from("/in/i.mp4"), Path::new("/out/o.mp4"));
    let place = Place { input: &input, name: "i.mp4", output, container: Container::Mp4 };
    plan(&args, Hardware::Off, &media(), &machine, (place, Path::new("/tmp/c/tempo.txt"))).unwrap()
}

/// The size, the frames, the part, the graph and the sound.
fn shown(json: Value) -> String {
    let plan = planned(json);
    let (expect, input) = (plan.expect[0], &plan.job.inputs[0]);
    let sound = match &plan.job.outputs[0].audio[..] {
        [Audio { origin: Origin::Stream(_, chain), encoder }] => format!("{encoder:?} {chain}"),
        _ => "none".into(),
    };
    format!(
        "{:?} {:?} seek {:?} length {:?}\n{}\n{sound}",
        expect.size, expect.frames, input.seek, input.length, plan.job.graph
    )
}

#[test]
fn portrait_from_landscape() {
    insta::assert_snapshot!(shown(json!({ "aspect": "9:16" })), @"
    (608, 1080) Every seek None length None
    [0:0]format=pix_fmts=yuv420p[l0];[l0]crop=w=608:h=1080:x=656:y=0:exact=1[l1];[l1]setsar=sar=1,format=pix_fmts=yuv420p[l2]
    Copy
    ");
    let follow = json!([{ "at": 0, "x": "30%" }, { "at": 4, "x": 1500 }]);
    let ease = json!({ "keyframes": follow, "interpolation": "ease" });
    insta::assert_snapshot!(shown(json!({ "aspect": "9:16", "width": 1080, "crop": ease })), @r"
    (1080, 1920) Every seek None length None
    [0:0]format=pix_fmts=yuv420p[l0];[l0]crop=w=1532:h=1080:x=272:y=0:exact=1,scale=w=2724:h=1920,crop=w=1080:h=1920:x=round((if(lt(t\,0)\,0.25\,if(lt(t\,4)\,0.25+t*(t*(173.25+t*(-28.875)))\,924.25)))*(1.77777778)):y=round((0)*(1.77777778)):exact=1[l1];[l1]setsar=sar=1,format=pix_fmts=yuv420p[l2]
    Copy
    ");
    let zoom = json!({ "keyframes": [{ "x": 960 }, { "at": 2, "x": 400, "y": 300, "zoom": 2 }] });
    insta::assert_snapshot!(shown(json!({ "quality": "720p", "crop": zoom })), @r"
    (1280, 720) Every seek None length None
    [0:0]format=pix_fmts=yuv420p[l0];[l0]scale=w=clip((1280/(if(lt(t\,0)\,1920\,if(lt(t\,2)\,1920+t*(-480)\,960))))*(1920)\,1280\,32768):h=clip((1280/(if(lt(t\,0)\,1920\,if(lt(t\,2)\,1920+t*(-480)\,960))))*(1080)\,720\,32768):eval=frame,crop=w=1280:h=720:x=round((0)*(1280/(if(lt(t\,0)\,1920\,if(lt(t\,2)\,1920+t*(-480)\,960))))):y=round((if(lt(t\,0)\,0\,if(lt(t\,2)\,t*(15)\,30)))*(1280/(if(lt(t\,0)\,1920\,if(lt(t\,2)\,1920+t*(-480)\,960))))):exact=1[l1];[l1]setsar=sar=1,format=pix_fmts=yuv420p[l2]
    Copy
    ");
    insta::assert_snapshot!(shown(json!({ "aspect": "1:1", "fit": "pad", "width": 640 })), @"
    (640, 640) Every seek None length None
    [0:0]format=pix_fmts=yuv420p[l0];[l0]scale=w=640:h=360,pad=w=640:h=640:x=(ow-iw)/2:y=(oh-ih)/2[l1];[l1]setsar=sar=1,format=pix_fmts=yuv420p[l2]
    Copy
    ");
}

#[test]
fn parts_and_speeds_count_their_frames() {
    insta::assert_snapshot!(shown(json!({ "start": 1.5, "end": 3.02 })), @"
    (1920, 1080) Exactly(38) seek Some(1.5195) length Some(1.5199999999999998)
    [0:0]format=pix_fmts=yuv420p[l0];[l0]null[l1];[l1]setsar=sar=1,format=pix_fmts=yuv420p[l2]
    Aac(128000)
    ");
    insta::assert_snapshot!(shown(json!({ "start": 9.5 })), @"
    (1920, 1080) Part seek Some(9.519499999999999) length None
    [0:0]format=pix_fmts=yuv420p[l0];[l0]null[l1];[l1]setsar=sar=1,format=pix_fmts=yuv420p[l2]
    Aac(128000)
    ");
    insta::assert_snapshot!(shown(json!({ "speed": 0.25, "mute": true })), @"
    (1920, 1080) Near(1000) seek None length None
    [0:0]format=pix_fmts=yuv420p[l0];[l0]null[l1];[l1]setpts=expr=(T*(4))/TB,fps=fps=25/1,setsar=sar=1,format=pix_fmts=yuv420p[l2]
    none
    ");
    let ramp = json!([{ "at": 2, "speed": 1 }, { "at": 4, "speed": 4 }]);
    insta::assert_snapshot!(shown(json!({ "ramp": ramp, "start": 1, "fps": 50 })), @r"
    (1920, 1080) Near(171) seek Some(0.9995) length None
    [0:0]format=pix_fmts=yuv420p[l0];[l0]null[l1];[l1]setpts=expr=(if(lt(T\,1)\,1+(T-1)*(1)\,if(lt(T\,3)\,1+log(1+(T-1)*(1.5))*(0.66666667)\,1.92419624+(T-3)*(0.25))))/TB,fps=fps=50/1,setsar=sar=1,format=pix_fmts=yuv420p[l2]
    Aac(128000) asetnsamples=n=256:p=0,asendcmd=filename=/tmp/c/tempo.txt,atempo@0=tempo=1.000000,atempo@1=tempo=1.000000
    ");
}
