/** The command line: argv to a verb of `cli/`. */
const argv = process.argv.slice(2);

const words = argv.filter((word) => word !== '--json');
if (words.length === 1 && (words[0] === '--version' || words[0] === '-V')) {
  // Answered before anything else is loaded.
  const { RELEASE } = await import('./base/release.ts');
  const document = { schema: 'slipway.cli/1', kind: 'version', data: { release: RELEASE } };
  process.stdout.write(words.length < argv.length ? `${JSON.stringify(document)}\n` : `${RELEASE}\n`);
} else {
  const { runCommandLine } = await import('./cli/command-line.ts');
  const code = await runCommandLine(argv);
  // Kept-alive connections would hold the process for some seconds more; all output is written by now.
  process.exit(code);
}
