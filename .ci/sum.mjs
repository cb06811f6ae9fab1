/** Says `N passed, N failed` for all vitest reports of a directory, and fails where there is nothing to be glad of. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [directory = "."] = process.argv.slice(2);
const sum = { passed: 0, failed: 0, skipped: 0 };
for (const file of readdirSync(directory)) {
  const report = JSON.parse(readFileSync(join(directory, file), "utf8"));
  sum.passed += report.numPassedTests;
  // A file that cannot even be loaded has no failed test, and is a failure all the same.
  sum.failed += report.numFailedTests || report.numFailedTestSuites;
  sum.skipped += report.numPendingTests + report.numTodoTests;
}
const skipped = sum.skipped > 0 ? `, ${sum.skipped} skipped` : "";
console.log(`${sum.passed} passed, ${sum.failed} failed${skipped}`);
if (sum.failed > 0 || sum.passed === 0) process.exitCode = 1;
