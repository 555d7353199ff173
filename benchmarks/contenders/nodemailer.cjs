// Sends what the job on standard input says; prints the seconds it took.
const fs = require("fs");
const { createTransport } = require("nodemailer");

async function main() {
  const job = JSON.parse(fs.readFileSync(0, "utf8"));
  const began = process.hrtime.bigint();
  const transport = createTransport({
    pool: true, host: job.host, port: job.port, secure: job.security === "tls", ignoreTLS: job.security === "none",
    maxConnections: job.concurrency, maxMessages: Infinity,
    auth: job.user ? { user: job.user, pass: job.password } : undefined,
    tls: job.cafile ? { ca: [fs.readFileSync(job.cafile)] } : undefined,
  });
  let number = 0;
  const work = async () => {
    while (number < job.count) {
      const subject = `Measured message ${number++}`;
      await transport.sendMail({ from: job.sender, to: job.to, subject, text: job.text, html: job.html });
    }
  };
  await Promise.all(Array.from({ length: job.concurrency }, work));
  transport.close();
  console.log(JSON.stringify({ seconds: Number(process.hrtime.bigint() - began) / 1e9 }));
}

main().catch((error) => { console.error(error); process.exit(1); });
