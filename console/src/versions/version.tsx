import type { Version } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { addressOf, useParam, useSearchText, useSetSearch } from '../address.ts';
import { Act } from '../parts/act.tsx';
import { Copy } from '../parts/copy.tsx';
import { bytes, duration } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Markdown } from '../parts/markdown.tsx';
import { Empty, Facts, Page, Section } from '../parts/page.tsx';
import { TensorTable } from '../parts/signature.tsx';
import { Status, toneOf } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useProject, useRefusal } from '../session.tsx';
import { SignatureChanges } from './signature-changes.tsx';
import { ValidationReport } from './validation-report.tsx';

export function VersionPage() {
  const model = useParam('model');
  const ref = useParam('version');
  const { client, project } = useProject();
  const refusal = useRefusal('deploy', model);
  const version = useQuery({
    queryKey: ['registry', project, 'version', model, ref],
    queryFn: () => client.versions.show(model, ref),
  });
  const number = version.data?.version ?? ref;
  return (
    <Page
      title={`${model}@${number}`}
      trail={[
        { to: '/models', text: 'Models' },
        { to: addressOf.model(model), text: model },
      ]}
      about={
        version.data && (
          <>
            <Status tone={toneOf(version.data.status)}>{version.data.status}</Status> {version.data.statusReason}
          </>
        )
      }
      actions={
        <Act
          text="Delete version"
          kind="danger"
          refusal={refusal}
          typeName={`${model}@${number}`}
          consequence="The version and what nothing else uses of its files go, for good. The server refuses it while an endpoint serves it."
          run={() => client.versions.remove(model, ref)}
          done={`${model}@${number} was deleted.`}
        />
      }
    >
      <Loaded query={version}>{(seen) => <Whole version={seen} />}</Loaded>
    </Page>
  );
}

function Whole({ version }: { version: Version }) {
  const { validation, lineage } = version;
  const golden = validation?.steps.find((step) => step.name === 'golden');
  return (
    <>
      <Facts
        facts={[
          ['Digest', <Copy key="digest" text={version.digest} shown={`${version.digest.slice(0, 19)}…`} />],
          ['Made', <When key="at" at={version.createdAt} />],
          ['By', version.createdBy],
          ['Aliases', version.aliases.join(', ') || 'none'],
          ['Format', version.format],
          ['Engine', version.engine],
          ['Why this engine', validation?.engine?.reason ?? 'not said'],
          [
            'Golden set',
            golden ? (
              <Status key="g" tone={toneOf(golden.outcome)}>
                {golden.detail ?? golden.outcome}
              </Status>
            ) : (
              'none'
            ),
          ],
          ['One run', duration(validation?.inferMs)],
          ['Load', duration(validation?.loadMs)],
          [
            'Memory',
            version.measuredMemoryBytes === null
              ? `${bytes(version.estimatedMemoryBytes)} estimated`
              : `${bytes(version.measuredMemoryBytes)} measured`,
          ],
          ['Rows of callers share a run', version.canBatch ? 'yes, proven' : 'no'],
          ['Size', bytes(version.files.reduce((sum, file) => sum + file.sizeBytes, 0))],
          ['Training data', lineage.data ?? 'not said'],
          ['Code commit', lineage.codeCommit ?? 'not said'],
          [
            'Parent',
            lineage.parentVersion === undefined ? (
              'not said'
            ) : (
              <Link key="parent" to={addressOf.version(version.model, lineage.parentVersion)}>
                {`${version.model}@${lineage.parentVersion}`}
              </Link>
            ),
          ],
          ['Trained by', lineage.trainedBy ?? 'not said'],
        ]}
      />
      <Section title="Signature">
        <h3>Inputs</h3>
        <TensorTable label="Inputs" tensors={version.signature.inputs} example={version.sampleRequest} />
        <h3>Outputs</h3>
        <TensorTable label="Outputs" tensors={version.signature.outputs} />
      </Section>
      <Section title="Validation">
        <ValidationReport version={version} />
      </Section>
      <Difference version={version} />
      <Section title="Files">
        <Table
          label="Files"
          idOf={(row) => row.path}
          rows={version.files}
          columns={[
            { title: 'Path', cell: (row) => <code>{row.path}</code> },
            { title: 'Size', kind: 'number', cell: (row) => bytes(row.sizeBytes) },
            { title: 'Digest', cell: (row) => <Copy text={row.digest} shown={`${row.digest.slice(0, 19)}…`} /> },
          ]}
        />
      </Section>
      {version.card && (
        <Section title="Card">
          <Markdown text={version.card} />
        </Section>
      )}
    </>
  );
}

function Difference({ version }: { version: Version }) {
  const setSearch = useSetSearch();
  const against = useSearchText('against') ?? (version.version > 1 ? String(version.version - 1) : '');
  return (
    <Section
      title="Difference"
      actions={
        <span className="inline small">
          <label className="inline">
            to version{' '}
            <input
              className="narrow"
              defaultValue={against}
              aria-label="Version to compare with: a number, an alias or latest"
              onBlur={(event) => setSearch({ against: event.target.value.trim() || undefined }, true)}
              onKeyDown={(event) => {
                if (event.key === 'Enter') setSearch({ against: event.currentTarget.value.trim() || undefined }, true);
              }}
            />
          </label>
          {against !== '' && (
            <Link
              to={addressOf.compare(version.model)}
              search={{ from: against, to: String(version.version) } as never}
            >
              Side by side
            </Link>
          )}
        </span>
      }
    >
      {against === '' ? (
        <Empty>There is no earlier version to compare with.</Empty>
      ) : (
        <SignatureChanges model={version.model} from={against} to={String(version.version)} />
      )}
    </Section>
  );
}
