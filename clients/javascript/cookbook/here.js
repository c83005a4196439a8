/** The app's one client. It outlives hot reloads: nobody sees us go and come when a file is saved. */
import { connect } from 'herenow';

const fetchToken = async () => {
  const answer = await fetch('/token');
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  return answer.text();
};

export const here = (globalThis.appHere ??= connect('/ws', { token: fetchToken }));
