'use client';
import { HerenowProvider } from 'herenow/react';

const fetchToken = async () => {
  const answer = await fetch('/token');
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  return answer.text();
};

/** The client is made in the browser alone: the server that renders is nobody's presence. */
export function Presence({ children }) {
  return <HerenowProvider url={process.env.NEXT_PUBLIC_HERENOW_URL} token={fetchToken}>{children}</HerenowProvider>;
}
