import type { Version } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { addressOf, useParam, useSearchText, useSetSearch } from '../address.ts';
import { bytes, duration } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Page, Section } from '../parts/page.tsx';
import { Status } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { localTime } from '../parts/when.tsx';
import { useProject } from '../session.tsx';
import { SignatureChanges } from './signature-changes.tsx';

/** Two versions of a model side by side: what is not the same, first. Which two is in the address. */
export function Compare() {
  const model = useParam('model');
  const { client, project } = useProject();
  const to = useSearchText('to') ?? 'latest';
  const from = useSearchText('from') ?? '1';
  const both = useQuery({
    queryKey: ['registry', project, 'compare', model, from, to],
    queryFn: async () => {
      const [old, young] = await Promise.all([client.versions.show(model, from), client.versions.show(model, to)]);
      return { old, young };
    },
  });
  return (
    <Page
      title={`Compare versions of ${model}`}
      trail={[
        { to: '/models', text: 'Models' },
        { to: addressOf.model(model), text: model },
      ]}
      about="What one version is beside another. How they answer the same calls, a shadow of a rollout tells."
    >
      <Choice from={from} to={to} key={`${from} ${to}`} />
      <Loaded query={both}>{({ old, young }) => <SideBySide old={old} young={young} />}</Loaded>
      <Section title="Signature">
        <SignatureChanges model={model} from={from} to={to} />
      </Section>
    </Page>
  );
}

function Choice({ from, to }: { from: string; to: string }) {
  const setSearch = useSetSearch();
  return (
    <form
      className="row-of"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        const word = (name: string) => String(form.get(name) ?? '').trim() || undefined;
        setSearch({ from: word('from'), to: word('to') });
      }}
    >
      <label className="field">
        From version (a number, an alias or latest)
        <input name="from" required defaultValue={from} spellCheck={false} />
      </label>
      <label className="field">
        To version
        <input name="to" required defaultValue={to} spellCheck={false} />
      </label>
      <button type="submit" className="main">
        Compare
      </button>
      <button type="button" onClick={() => setSearch({ from: to, to: from })}>
        Other way round
      </button>
    </form>
  );
}

function SideBySide({ old, young }: { old: Version; young: Version }) {
  const facts = factsOf(young);
  const rows = factsOf(old).map(({ name, text, exact }, i) => {
    const other = facts[i]!;
    return { name, from: text, to: other.text, same: exact === other.exact, note: changeOf(exact, other.exact) };
  });
  const differing = rows.filter((row) => !row.same);
  const files = filesOf(old, young);
  return (
    <>
      <p>
        <Link to={addressOf.version(old.model, old.version)}>{`${old.model}@${old.version}`}</Link> beside{' '}
        <Link to={addressOf.version(young.model, young.version)}>{`${young.model}@${young.version}`}</Link>:{' '}
        {old.version === young.version
          ? 'these are the same version.'
          : `${differing.length} of ${rows.length} facts and ${files.filter((file) => file.state !== 'same').length} of ${files.length} files differ.`}
      </p>
      <Table
        label="Facts side by side"
        idOf={(row) => row.name}
        rows={[...differing, ...rows.filter((row) => row.same)]}
        columns={[
          { title: 'Fact', cell: (row) => row.name },
          { title: `From: ${old.version}`, kind: 'wide', cell: (row) => row.from },
          { title: `To: ${young.version}`, kind: 'wide', cell: (row) => row.to },
          {
            title: 'Difference',
            cell: (row) => (row.same ? <span className="quiet">same</span> : <strong>{row.note}</strong>),
          },
        ]}
      />
      <Section title="Files">
        <Table
          label="Files side by side"
          idOf={(row) => row.path}
          rows={files}
          columns={[
            { title: 'Path', cell: (row) => <code>{row.path}</code> },
            { title: 'Size, from', kind: 'number', cell: (row) => bytes(row.from) },
            { title: 'Size, to', kind: 'number', cell: (row) => bytes(row.to) },
            {
              title: 'Bytes',
              cell: (row) =>
                row.state === 'same' ? <span className="quiet">same</span> : <Status tone="busy">{row.state}</Status>,
            },
          ]}
        />
      </Section>
    </>
  );
}

type Fact = {
  name: string;
  text: string /** What is compared: the text may be shortened. */;
  exact: string | number | null;
};

function factsOf(version: Version): Fact[] {
  const { validation, lineage } = version;
  const golden = validation?.steps.find((step) => step.name === 'golden');
  const memory = version.measuredMemoryBytes ?? version.estimatedMemoryBytes;
  const size = version.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const told = (name: string, text: string | null | undefined, exact = text): Fact => ({
    name,
    text: text || 'not said',
    exact: exact ?? null,
  });
  return [
    told('Status', version.status),
    told('Golden set', golden ? `${golden.outcome}${golden.detail ? `: ${golden.detail}` : ''}` : 'none'),
    { name: 'One run', text: duration(validation?.inferMs), exact: validation?.inferMs ?? null },
    { name: 'Load', text: duration(validation?.loadMs), exact: validation?.loadMs ?? null },
    {
      name: 'Memory',
      text: `${bytes(memory)} ${version.measuredMemoryBytes === null ? 'estimated' : 'measured'}`,
      exact: memory,
    },
    { name: 'Size', text: bytes(size), exact: size },
    told('Warnings', validation?.warnings.join(' ') || 'none'),
    told('Format', version.format),
    told('Engine', version.engine),
    told('Rows of callers share a run', version.canBatch ? 'yes, proven' : 'no'),
    told('Aliases', version.aliases.join(', ') || 'none'),
    told('Training data', lineage.data),
    told('Code commit', lineage.codeCommit),
    told('Parent', lineage.parentVersion === undefined ? null : String(lineage.parentVersion)),
    told('Trained by', lineage.trainedBy),
    told(
      'Tags',
      Object.entries(version.tags)
        .map(([key, value]) => `${key}=${value}`)
        .join(', ') || 'none',
    ),
    told(
      'Card',
      version.card === null ? 'none' : `${version.card.slice(0, 120)}${version.card.length > 120 ? '…' : ''}`,
      version.card,
    ),
    told('Made', localTime(version.createdAt), version.createdAt),
    told('By', version.createdBy),
    told('Digest', `${version.digest.slice(0, 19)}…`, version.digest),
  ];
}

function changeOf(from: Fact['exact'], to: Fact['exact']): string {
  if (typeof from !== 'number' || typeof to !== 'number' || from === 0) return 'differs';
  return `${Number((to / from).toPrecision(2))} times`;
}

function filesOf(old: Version, young: Version) {
  const before = new Map(old.files.map((file) => [file.path, file]));
  const now = new Map(young.files.map((file) => [file.path, file]));
  return [...new Set([...before.keys(), ...now.keys()])].sort().map((path) => {
    const [a, b] = [before.get(path), now.get(path)];
    return {
      path,
      from: a?.sizeBytes ?? null,
      to: b?.sizeBytes ?? null,
      state: a === undefined ? 'new' : b === undefined ? 'gone' : a.digest === b.digest ? 'same' : 'changed',
    };
  });
}
