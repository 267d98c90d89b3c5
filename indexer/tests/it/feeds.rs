//! Google Merchant feeds: TSV, RSS and Atom of the same products give the same snapshot.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::command::{SETTINGS, fails, json};

fn items() -> Vec<(String, String, String)> {
    (0..40).map(|n| (format!("sku {n}"), format!("Lamp & \"shade\" {n}"), format!("{n}.50 USD"))).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn elements() -> Vec<String> {
    let element = |(id, title, price): &(String, String, String)| {
        format!(
            "<g:id>{id}</g:id><g:title>{}</g:title><g:price>{price}</g:price><g:availability>in stock</g:availability>\
             <g:gtin>4006381333931</g:gtin><g:color>red/blue</g:color><g:product_type>Home &gt; Light</g:product_type>\
             <g:cost_of_goods_sold>1.00 USD</g:cost_of_goods_sold>",
            escaped(title)
        )
    };
    items().iter().map(element).collect()
}

fn write(path: &Path) {
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    let rss: String = elements().iter().map(|item| format!("<item>{item}</item>\n")).collect();
    let rss = format!(
        "<?xml version=\"1.0\"?>\n<rss xmlns:g=\"http://base.google.com/ns/1.0\"><channel><title>Shop</title>{rss}</channel></rss>"
    );
    fs::write(path.join("feed.xml"), &rss).expect("a feed");
    let file = fs::File::create(path.join("feed.rss.gz")).expect("a file");
    let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gz.write_all(rss.as_bytes()).and_then(|()| gz.finish().map(drop)).expect("a packed feed");
    fs::write(path.join("cut.xml"), &rss[..rss.len() - 40]).expect("a feed that is cut off");
    let atom: String = elements().iter().map(|item| format!("<entry>{item}</entry>\n")).collect();
    fs::write(path.join("feed.atom"), format!("<feed xmlns:g=\"http://base.google.com/ns/1.0\">{atom}</feed>"))
        .expect("a feed");
    let mut tsv = "id\ttitle\tprice\tavailability\tgtin\tColor\tproduct type\tcost_of_goods_sold\n".to_owned();
    for (id, title, price) in items() {
        tsv += &format!("{id}\t{title}\t{price}\tin stock\t4006381333931\tred/blue\tHome > Light\t1.00 USD\n");
    }
    fs::write(path.join("feed.txt"), tsv).expect("a feed");
}

#[test]
fn every_kind_of_feed_gives_the_same_products() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    write(path);
    let build = |feed: &str| {
        let args = ["build", "--catalogue", "catalogue.toml", "--out", feed, "--strict"];
        let format = if feed.ends_with("txt") { &["--format", "google"][..] } else { &[] };
        let out = format!("built-{feed}");
        let args: Vec<&str> = args
            .into_iter()
            .map(|arg| if arg == feed { out.as_str() } else { arg })
            .chain(format.iter().copied())
            .collect();
        json(path, &[&args[..], &[feed]].concat())
    };
    let rss = build("feed.xml");
    assert_eq!(rss["product_count"], 40);
    for feed in ["feed.rss.gz", "feed.atom", "feed.txt"] {
        assert_eq!(build(feed)["objects"], rss["objects"], "{feed} is the same to the byte");
    }
    let whole = fs::read(path.join("built-feed.xml/objects").join(rss["objects"][1].as_str().expect("a digest")))
        .expect("a segment");
    let has = |text: &str| whole.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("Home") && !has("1.00 USD") && !has("cost_of_goods_sold"), "the merchant's secrets go nowhere");
    let refused = fails(path, &["build", "--catalogue", "catalogue.toml", "--out", "cut", "cut.xml"]);
    assert!(refused.contains("cut.xml") && refused.contains("line"), "{refused}");
    assert!(!path.join("cut/snapshots").exists(), "a feed that is cut off is no smaller shop");
}
