/** The command line: argv to a verb of `cli/`. */
const argv = process.argv.slice(2);

if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
  // Answered before anything else is loaded.
  const { RELEASE } = await import('./base/release.ts');
  process.stdout.write(`${RELEASE}\n`);
} else {
  const { runProgram } = await import('./cli/program.ts');
  const code = await runProgram(argv);
  // Kept-alive connections would hold the process for some seconds more; all output is written by now.
  process.exit(code);
}
