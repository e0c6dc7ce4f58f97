//! Published tables in an object store that speaks S3, served from there.

use crate::{
    adbc::python,
    fixture::{Running, number, options},
};
use anyhow::{Context, Result, ensure};
use demo::{
    oracle::Oracle,
    platform::{Part, Platform},
    registers::CONTROLLERS,
};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// moto's S3 server on a free port, ended when dropped.
struct S3 {
    process: Child,
    address: String,
}

impl S3 {
    fn start() -> Result<Self> {
        // Port 0 takes a free one; the server says which.
        let mut process = Command::new(python())
            .args(["-u", "-c", "from moto.server import ThreadedMotoServer\nimport sys\nserver = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\nserver.start()\nprint('%s:%s' % server.get_host_and_port(), flush=True)\nsys.stdin.read()\nserver.stop()"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("no Python; run tests/setup")?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("stdout")?).read_line(&mut line)?;
        ensure!(line.contains(':'), "the S3 server didn't start");
        Ok(Self { process, address: line.trim().to_owned() })
    }

    /// Runs a line of Python in which `s3` is a client.
    fn client(&self, line: &str) -> Result<()> {
        let script = format!(
            "import boto3, os; s3 = boto3.client('s3', endpoint_url='http://{}', region_name='eu-north-1', \
             aws_access_key_id='k', aws_secret_access_key='s')\n{line}",
            self.address
        );
        let made = Command::new(python()).args(["-c", &script]).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(())
    }

    fn make_bucket(&self, name: &str) -> Result<()> {
        self.client(&format!(
            "s3.create_bucket(Bucket='{name}', CreateBucketConfiguration={{'LocationConstraint': 'eu-north-1'}})"
        ))
    }

    fn upload(&self, folder: &Path, bucket: &str, prefix: &str) -> Result<()> {
        self.client(&format!(
            "for f in os.listdir('{0}'): s3.upload_file(os.path.join('{0}', f), '{bucket}', '{prefix}/' + f)",
            folder.display()
        ))
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_published_to_and_served_from_s3() -> Result<()> {
    let s3 = tokio::task::spawn_blocking(S3::start).await??;
    s3.make_bucket("published")?;
    let folder = tempfile::tempdir()?;
    let mut platform = Platform::prepare(options(&folder, 200)).await?;
    platform.start_part(Part::Custodian).await?;
    let config = platform.config(Part::Spoke("sds"));
    let text = std::fs::read_to_string(&config)?;
    let line = text.lines().find(|l| l.starts_with("url = ")).context("[store] url")?;
    let store = format!(
        "url = \"s3://published/sds\"\n[store.options]\naws_endpoint = \"http://{}\"\naws_region = \"eu-north-1\"\n\
         aws_access_key_id = \"k\"\naws_secret_access_key = \"s\"\naws_allow_http = \"true\"\n",
        s3.address
    );
    std::fs::write(&config, text.replacen(line, &store, 1))?;
    let moved = from_bucket(&s3, &platform)?;
    for controller in CONTROLLERS {
        let done = platform.ingest(controller.id, &[]).await?;
        ensure!(done.success(), "{}: {}", controller.id, done.text);
        platform.start_part(Part::Spoke(controller.id)).await?;
    }
    std::fs::rename(&moved, moved.with_file_name("lmdb"))?;
    platform.start_part(Part::Hub).await?;
    let running = Running { platform, folder };
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let mut client = running.enclave().await?;
    for sql in ["SELECT COUNT(*) FROM sds.lmdb", "SELECT COUNT(*) FROM sds.lpr_a_diagnose WHERE diag_kode LIKE 'DE11%'"]
    {
        assert_eq!(number(&client.ask(sql).await?)?, number(&oracle.ask(sql).await?)?, "{sql}");
    }
    let again = running.platform.ingest("sds", &[]).await?;
    ensure!(again.success() && again.text.contains("nothing new"), "{}", again.text);
    let local = running.data_dir("sds");
    ensure!(!local.exists() || std::fs::read_dir(&local)?.next().is_none(), "tables were also written to local disk");
    running.platform.stop().await?;
    Ok(())
}

/// Puts the prescriptions' CSV files of `sds` into a bucket and declares them there. Gives where the local ones were moved
/// to, so that an ingest can't read them.
fn from_bucket(s3: &S3, platform: &Platform) -> Result<PathBuf> {
    let local = platform.registers_dir().join("sds/lmdb");
    s3.make_bucket("raw")?;
    s3.upload(&local, "raw", "lmdb")?;
    let declaration = platform.spoke_dir("sds").join("tables/lmdb.toml");
    let text = std::fs::read_to_string(&declaration)?;
    let line = text.lines().find(|l| l.trim_start().starts_with("path = ")).context("[source] path")?;
    let source = format!(
        "path = \"s3://raw/lmdb/*.csv\"\noptions = {{ aws_endpoint = \"http://{}\", aws_region = \"eu-north-1\", \
         aws_access_key_id = \"k\", aws_secret_access_key = \"s\", aws_allow_http = \"true\" }}",
        s3.address
    );
    std::fs::write(&declaration, text.replacen(line, &source, 1))?;
    let moved = local.with_file_name("lmdb-moved");
    std::fs::rename(&local, &moved)?;
    Ok(moved)
}
