import type { Version } from '@slipway/sdk';
import { duration } from '../parts/figures.ts';
import { Status, toneOf } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';

export function ValidationReport({ version }: { version: Version }) {
  const { validation } = version;
  if (validation === null) {
    return (
      <p>
        <Status tone={toneOf(version.status)}>{version.status}</Status> {version.statusReason}
      </p>
    );
  }
  return (
    <>
      <p>
        <Status tone={toneOf(validation.outcome)}>{validation.outcome}</Status> <When at={validation.finishedAt} />
        {validation.reason && <> · {validation.reason}</>}
        {validation.hint && <span className="quiet"> {validation.hint}</span>}
      </p>
      <Table
        label="Steps of the validation"
        idOf={(row) => row.name}
        rows={validation.steps}
        columns={[
          { title: 'Step', cell: (row) => row.name },
          { title: 'Outcome', cell: (row) => <Status tone={toneOf(row.outcome)}>{row.outcome}</Status> },
          { title: 'Took', kind: 'number', cell: (row) => duration(row.durationMs) },
          { title: 'What was seen', kind: 'wide', cell: (row) => row.detail ?? '–' },
        ]}
      />
      {validation.warnings.length > 0 && (
        <ul>
          {validation.warnings.map((warning) => (
            <li key={warning}>
              <Status tone="warn">{warning}</Status>
            </li>
          ))}
        </ul>
      )}
      {validation.outcome === 'failed' && (
        <>
          <p className="quiet">
            Last step: {validation.lastStep ?? 'ended by itself'}
            {validation.exitSignal && ` · ended by ${validation.exitSignal}`}
            {validation.exitCode !== null && ` · exit code ${validation.exitCode}`}
          </p>
          {validation.stderr !== '' && (
            <details open>
              <summary>What it wrote to standard error</summary>
              <pre className="log">{validation.stderr}</pre>
            </details>
          )}
        </>
      )}
    </>
  );
}
