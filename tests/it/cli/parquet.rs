//! `-o FILE.parquet`, read by the format's own library.

use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{Folder, site};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_its_types() {
    let (folder, site) = (Folder::new(), site().await);
    let crawl = format!("crawl books -a site={} -o books.parquet", site.url());
    let ran = folder.run(&crawl);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = folder.run("export books -o again.parquet");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for file in ["books.parquet", "again.parquet"] {
        let file = std::fs::File::open(folder.path(file)).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let columns = reader.metadata().file_metadata().schema_descr().columns();
        let kinds: Vec<String> = columns
            .iter()
            .map(|column| format!("{} {}", column.name(), column.physical_type()))
            .collect();
        for kind in ["title BYTE_ARRAY", "price DOUBLE", "stars INT64"] {
            assert!(kinds.iter().any(|known| known == kind), "{kinds:?}");
        }
        assert_eq!(reader.metadata().file_metadata().num_rows(), 60);
    }
    let ran = folder.run("export books -o books.parquet.gz");
    assert!(
        ran.stderr.contains("Parquet is packed within"),
        "{}",
        ran.stderr
    );
}
