/** Every address of the console, and the screen it shows. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  Link,
  type RouteComponent,
  retainSearchParams,
} from '@tanstack/react-router';
import { Access } from './access/access.tsx';
import { EndpointPage } from './endpoints/endpoint.tsx';
import { Endpoints } from './endpoints/endpoints.tsx';
import { Health } from './health/health.tsx';
import { Audit } from './history/audit.tsx';
import { History } from './history/history.tsx';
import { ModelPage } from './models/model.tsx';
import { Models } from './models/models.tsx';
import { UploadPage } from './models/upload.tsx';
import { Overview } from './overview/overview.tsx';
import { Page } from './parts/page.tsx';
import { Problem } from './parts/problem.tsx';
import { PredictionPage } from './predictions/prediction.tsx';
import { Predictions } from './predictions/predictions.tsx';
import { Profiles } from './predictions/profiles.tsx';
import { RolloutPage } from './rollouts/rollout.tsx';
import { Rollouts } from './rollouts/rollouts.tsx';
import { StartRollout } from './rollouts/start-rollout.tsx';
import { App } from './shell/app.tsx';
import { Compare } from './versions/compare.tsx';
import { VersionPage } from './versions/version.tsx';

const SCREENS: Readonly<Record<string, RouteComponent>> = {
  '/': Overview,
  '/models': Models,
  '/upload': UploadPage,
  '/models/$model': ModelPage,
  '/models/$model/compare': Compare,
  '/models/$model/versions/$version': VersionPage,
  '/endpoints': Endpoints,
  '/endpoints/$endpoint': EndpointPage,
  '/endpoints/$endpoint/rollout': RolloutPage,
  '/endpoints/$endpoint/rollout/new': StartRollout,
  '/endpoints/$endpoint/predictions': Predictions,
  '/endpoints/$endpoint/profiles': Profiles,
  '/rollouts': Rollouts,
  '/predictions': Predictions,
  '/predictions/$id': PredictionPage,
  '/history': History,
  '/history/audit': Audit,
  '/access': Access,
  '/health': Health,
};

export function createPages(basepath: string) {
  const root = createRootRoute({
    component: App,
    notFoundComponent: Nowhere,
    errorComponent: ({ error }) => (
      <Page title="This page failed">
        <Problem error={error} retry={() => location.reload()} />
      </Page>
    ),
    // Words stay texts: a name of digits is no number.
    validateSearch: (search: Record<string, unknown>) => search,
    search: { middlewares: [retainSearchParams(['project'] as never)] },
  });
  const routes = Object.entries(SCREENS).map(([path, component]) =>
    createRoute({ getParentRoute: () => root, path, component }),
  );
  return createRouter({
    routeTree: root.addChildren(routes),
    basepath,
    defaultPreload: false,
    scrollRestoration: false,
    parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
    stringifySearch: (search) => {
      const words = Object.entries(search).filter(([, value]) => value !== undefined && value !== null);
      const text = new URLSearchParams(
        words.map(([name, value]): [string, string] => [name, String(value)]),
      ).toString();
      return text === '' ? '' : `?${text}`;
    },
  });
}

function Nowhere() {
  return (
    <Page title="There is nothing at this address">
      <p>
        <Link to="/">To the overview</Link>
      </p>
    </Page>
  );
}
