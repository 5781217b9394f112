import type { Check, Endpoint, EndpointTraffic, Rollout, ServerStatus } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { addressOf } from '../address.ts';
import { firstOf, PAGE_LIMIT } from '../first-of.ts';
import { count, duration, share } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Empty, Page, Section } from '../parts/page.tsx';
import { Status, type Tone, toneOf } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useProject, useRefusal } from '../session.tsx';

/** Rows looked at: of more endpoints the page says so. */
const MOST = 1000;

export function Overview() {
  const { client, project } = useProject();
  const refusal = useRefusal('read');
  const status = useQuery({ queryKey: ['health', 'status'], queryFn: () => client.status() });
  const endpoints = useQuery({
    queryKey: ['endpoints', project, 'all'],
    queryFn: () => firstOf(client.endpoints.list({ limit: PAGE_LIMIT })),
  });
  const traffic = useQuery({
    queryKey: ['traffic', project, 'all'],
    queryFn: () => firstOf(client.traffic.list({ limit: PAGE_LIMIT })),
  });
  const rollouts = useQuery({
    queryKey: ['rollouts', project, 'all'],
    queryFn: () => client.rollouts.list({ limit: 50 }).page(),
  });
  const doctor = useQuery({
    queryKey: ['health', 'doctor'],
    queryFn: () => client.doctor(),
    enabled: refusal === null,
    staleTime: 30_000,
  });
  return (
    <Page title="Overview" about={<Loaded query={status}>{(seen) => <ServerLine status={seen} />}</Loaded>}>
      <Loaded query={endpoints}>
        {({ items, nextCursor }) => (
          <>
            <Verdict endpoints={items} rollouts={rollouts.data?.items ?? []} checks={doctor.data ?? []} />
            <Section title="Endpoints">
              {items.length === 0 ? (
                <Empty command="bin/slipway deploy ./model.onnx --name churn">
                  Nothing serves yet. <Link to="/upload">Upload a model</Link>, or type:
                </Empty>
              ) : (
                <Endpoints endpoints={items} traffic={traffic.data?.items ?? []} />
              )}
              {nextCursor !== null && (
                <p className="quiet">
                  The first {MOST} by name; <Link to="/endpoints">all of them</Link>.
                </p>
              )}
            </Section>
          </>
        )}
      </Loaded>
      <Section title="Running rollouts">
        <Loaded query={rollouts}>{({ items }) => <Running rollouts={items.filter((one) => !one.isEnded)} />}</Loaded>
      </Section>
      {refusal === null && (
        <Section title="The server itself" actions={<Link to="/health">all checks</Link>}>
          <Loaded query={doctor}>{(checks) => <Checks checks={checks} />}</Loaded>
        </Section>
      )}
    </Page>
  );
}

function ServerLine({ status }: { status: ServerStatus }) {
  const behind = status.gateways.filter((one) => one.generation < status.generation);
  return (
    <span>
      Slipway {status.release}, started <When at={status.startedAt} /> ·{' '}
      {status.gateways.length === 0 ? (
        <Status tone="bad">no gateway is connected</Status>
      ) : (
        <>
          {status.gateways.length} {status.gateways.length === 1 ? 'gateway' : 'gateways'}, seen{' '}
          <When at={status.gateways[0]!.observedAt} />
        </>
      )}{' '}
      ·{' '}
      {behind.length > 0 ? (
        <Status tone="warn">
          {behind.length} behind state {status.generation}
        </Status>
      ) : (
        `state ${status.generation}`
      )}
    </span>
  );
}

/** One sentence: is anything wrong now? */
function Verdict({ endpoints, rollouts, checks }: { endpoints: Endpoint[]; rollouts: Rollout[]; checks: Check[] }) {
  const down = endpoints.filter((one) => one.status.state !== 'ready' && one.status.state !== 'unloaded');
  const failing = checks.filter((check) => check.outcome === 'fail');
  const paused = rollouts.filter((one) => !one.isEnded && one.phase === 'paused');
  const faults = [
    ...down.map((one) => `${one.name} is ${one.status.state}${one.status.reason ? `: ${one.status.reason}` : ''}`),
    ...paused.map((one) => `the rollout of ${one.endpoint} is paused`),
    ...failing.map((check) => `${check.name}: ${check.detail}`),
  ];
  if (endpoints.length === 0 && faults.length === 0) return null;
  if (faults.length === 0) {
    return (
      <p className="verdict">
        <Status tone="good">
          {endpoints.length === 1 ? 'The one endpoint' : `All ${endpoints.length} endpoints`} answer, and no check of
          the server fails.
        </Status>
      </p>
    );
  }
  return (
    <div className="verdict bad" role="status">
      <Status tone="bad">{faults.length === 1 ? 'One thing needs' : `${faults.length} things need`} somebody</Status>
      <ul>
        {faults.slice(0, 8).map((fault) => (
          <li key={fault}>{fault}</li>
        ))}
      </ul>
    </div>
  );
}

const ORDER: readonly string[] = ['failed', 'unknown', 'starting', 'updating', 'ready', 'unloaded'];

export function Endpoints({
  endpoints,
  traffic,
}: {
  endpoints: readonly Endpoint[];
  traffic: readonly EndpointTraffic[];
}) {
  const of = new Map(traffic.map((one) => [one.endpoint, one]));
  const badness = (one: Endpoint): number =>
    -ORDER.indexOf(one.status.state) * 10 + (of.get(one.name)?.now?.errorShare ?? 0) * 9;
  const rows = [...endpoints].sort((a, b) => badness(b) - badness(a) || a.name.localeCompare(b.name));
  return (
    <Table
      label="Endpoints, worst first"
      idOf={(row) => row.name}
      rows={rows}
      columns={[
        {
          title: 'Endpoint',
          cell: (row) => <Link to={addressOf.endpoint(row.name)}>{row.name}</Link>,
        },
        {
          title: 'State',
          cell: (row) => <Status tone={toneOf(row.status.state)}>{row.status.state}</Status>,
        },
        {
          title: 'Serves',
          cell: (row) =>
            row.status.servingVersion === null ? (
              '–'
            ) : (
              <Link to={addressOf.version(row.model, row.status.servingVersion)}>
                {row.model}@{row.status.servingVersion}
              </Link>
            ),
        },
        { title: 'Environment', cell: (row) => <span className="environment">{row.environment}</span> },
        { title: 'Requests/s', kind: 'number', cell: (row) => rate(of.get(row.name)) },
        {
          title: 'Errors',
          kind: 'number',
          cell: (row) => <Against traffic={of.get(row.name)} of="errorShare" format={share} />,
        },
        {
          title: 'p99',
          kind: 'number',
          cell: (row) => <Against traffic={of.get(row.name)} of="p99Ms" format={duration} />,
        },
        { title: 'Seen', cell: (row) => <When at={row.status.observedAt} /> },
      ]}
    />
  );
}

function rate(traffic: EndpointTraffic | undefined): string {
  return traffic?.now ? count(traffic.now.requestsPerS) : '–';
}

/** The last minute, marked where it is clearly worse than the hour it belongs to. */
function Against(props: {
  traffic: EndpointTraffic | undefined;
  of: 'errorShare' | 'p99Ms';
  format: (value: number | null) => string;
}) {
  const { traffic, of, format } = props;
  const now = traffic?.now?.[of] ?? null;
  const hour = traffic?.hour?.[of] ?? null;
  if (now === null) return <span className="quiet">–</span>;
  const worse = hour !== null && now > hour * 2 && now - hour > (of === 'errorShare' ? 0.01 : 5);
  const title = `last minute ${format(now)}, last hour ${format(hour)}`;
  const tone: Tone = 'warn';
  return (
    <span title={title}>
      {worse ? <Status tone={tone}>{`${format(now)} (hour: ${format(hour)})`}</Status> : format(now)}
    </span>
  );
}

function Running({ rollouts }: { rollouts: Rollout[] }) {
  if (rollouts.length === 0) {
    return (
      <Empty command="bin/slipway rollouts start credit-risk --to latest --strategy canary">
        No traffic is being moved. A rollout starts on an endpoint's page, or with:
      </Empty>
    );
  }
  return (
    <Table
      label="Running rollouts"
      idOf={(row) => row.id}
      rows={rollouts}
      columns={[
        { title: 'Endpoint', cell: (row) => <Link to={addressOf.rollout(row.endpoint)}>{row.endpoint}</Link> },
        { title: 'Phase', cell: (row) => <Status tone={toneOf(row.phase)}>{row.phase}</Status> },
        { title: 'From → to', cell: (row) => `${row.from?.version ?? '–'} → ${row.to.version}` },
        { title: 'Weight', kind: 'number', cell: (row) => share(row.weight.observed ?? row.weight.asked) },
        { title: 'What it waits for', kind: 'wide', cell: (row) => row.text },
      ]}
    />
  );
}

function Checks({ checks }: { checks: Check[] }) {
  const notable = checks.filter((check) => check.outcome !== 'pass' || /disk/i.test(check.name));
  return (
    <ul className="checks">
      {notable.map((check) => (
        <li key={check.name}>
          <Status tone={toneOf(check.outcome)}>{check.name}</Status> {check.detail}
          {check.fix && <span className="quiet"> {check.fix}</span>}
        </li>
      ))}
      <li className="quiet">
        {checks.filter((check) => check.outcome === 'pass').length} of {checks.length} checks pass
      </li>
    </ul>
  );
}
