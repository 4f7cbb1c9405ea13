//! `nephila warc SPIDER`: kept pages as a web archive, and back.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::flags::SpiderFlags;
use super::trial::step_for;
use super::{output, spiders};
use crate::clock;
use crate::export::WholeFile;
use crate::fetch::{KeptPages, WarcReader, WarcWriter};
use crate::settings::Settings;
use crate::spider::{Spider, step_named};
use crate::ui::{clean, plural};

const EXAMPLES: &str = "\
Examples:
  nephila crawl books --cache keep                keeps the pages that it fetches
  nephila warc books -o books.warc.gz             writes them to an archive
  nephila warc books --import books.warc.gz       keeps the pages of an archive
  nephila reparse books                           reads them again, without a network";

/// Write kept pages to a web archive (WARC), or keep the pages of one
///
/// Pages are kept by crawls with --cache keep or --cache dev. What is imported is read by the step that nephila
/// noted in the archive, in that of others by the one whose `url` fits, else by the first, unless --step says
/// another; `nephila reparse` and `--cache dev` find it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Warc {
    /// The spider's name, or its TOML file
    spider: String,
    /// The archive to write; packed if its name ends in .gz
    #[arg(
        short = 'o',
        long,
        value_name = "FILE",
        required_unless_present = "import"
    )]
    output: Option<PathBuf>,
    /// The archive to read
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    import: Option<PathBuf>,
    /// Only pages of this step; or the step of all that is imported
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    #[command(flatten)]
    flags: SpiderFlags,
}

impl Warc {
    pub(super) fn needs_spiders(&self) -> bool {
        !spiders::is_file(&self.spider)
    }

    pub(super) fn run(self) -> Result<u8, Failure> {
        let made = self.flags.make(&self.spider)?;
        let (spider, settings) = (&*made.spider, &made.settings);
        let kept = KeptPages::of(settings, spider.name(), &made.json())
            .map_err(|error| Failure::usage(error.to_string()))?;
        match (&self.output, &self.import) {
            (Some(path), _) => self.write(spider, &kept, path),
            (None, Some(path)) => self.read(spider, settings, &kept, path),
            (None, None) => Err(Failure::usage(
                "an archive to write (-o) or to read (--import)",
            )),
        }
    }

    fn write(&self, spider: &dyn Spider, kept: &KeptPages, path: &Path) -> Result<u8, Failure> {
        // A robots.txt is of no step.
        let is_wanted = |step: &str| {
            let wanted = self.step.as_deref();
            step_named(spider, step)
                .is_some_and(|known| wanted.is_none_or(|wanted| wanted == known.name))
        };
        let pages: Vec<_> = kept
            .list()
            .into_iter()
            .filter(|page| is_wanted(&page.step))
            .collect();
        if pages.is_empty() {
            let name = clean(spider.name());
            return Err(Failure::usage(format!("no pages of {name} are kept"))
                .more(format!("keep them:  nephila crawl {name} --cache keep")));
        }
        let file = WholeFile::create(path).map_err(|error| cannot("write", path, &error))?;
        let packed = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("gz"));
        let written = WarcWriter::new(file, packed, clock::now()).and_then(|mut archive| {
            let mut count = 0;
            for page in &pages {
                if let Some(response) = kept.load(page) {
                    let at = page.at.unwrap_or_else(clock::now);
                    archive.add_of(&response, at, &page.step, page.args.as_deref())?;
                    count += 1;
                }
            }
            archive.end()?.publish()?;
            Ok(count)
        });
        let count = written.map_err(|error| cannot("write", path, &error))?;
        output::say(&format!(
            "  {} in {}",
            plural(count, "page"),
            path.display()
        ));
        Ok(0)
    }

    fn read(
        &self,
        spider: &dyn Spider,
        settings: &Settings,
        kept: &KeptPages,
        path: &Path,
    ) -> Result<u8, Failure> {
        let cannot = |error: std::io::Error| cannot("read", path, &error);
        let file = File::open(path).map_err(cannot)?;
        let archive = WarcReader::new(file, settings.max_body).map_err(cannot)?;
        let (mut count, mut unread) = (0, 0);
        for record in archive {
            let page = record.map_err(cannot)?;
            let own = page.step.as_deref();
            let own = own.filter(|step| step_named(spider, step).is_some());
            let step = step_for(spider, self.step.as_deref().or(own), &page.response.url)?;
            let status = page.response.status;
            if !status.is_success() && !step.accepts.contains(&status.as_u16()) {
                unread += 1;
                continue;
            }
            let args = page.args.as_deref().filter(|_| own == Some(step.name));
            let stored = kept.keep(step.name, args, &page.response, page.at);
            stored.map_err(|error| Failure::usage(format!("can't keep a page: {error}")))?;
            count += 1;
        }
        if unread > 0 {
            let unread = plural(unread, "page");
            output::say(&format!(
                "  {unread} left out, of a status that their step does not read"
            ));
        }
        output::say(&format!(
            "  {} kept of {}; read them:  nephila reparse {}",
            plural(count, "page"),
            path.display(),
            clean(&self.spider)
        ));
        Ok(u8::from(count == 0))
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("can't {what} {}: {error}", path.display()))
}
