// Compiles the stylesheet again and compares it with the committed one, byte for byte.
// Run in this folder after `npm ci`. Exits with 1 where they differ.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const committed = "../../packages/replayt-cli/src/replayt_cli/templates/report.css";
const folder = mkdtempSync(join(tmpdir(), "replayt-styles-"));
const compiled = join(folder, "report.css");
try {
  execFileSync(
    "node_modules/.bin/tailwindcss",
    ["--input", "report.css", "--output", compiled, "--minify"],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  if (!readFileSync(compiled).equals(readFileSync(committed))) {
    console.error(`${committed} is not what report.css and the template give: run \`npm run build\``);
    process.exitCode = 1;
  } else {
    console.log("the stylesheet is up to date");
  }
} finally {
  rmSync(folder, { recursive: true });
}
