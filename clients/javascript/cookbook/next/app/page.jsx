import { Here } from './here.jsx';

export const dynamic = 'force-dynamic';

export default function Page() {
  return <main><h1>A page</h1><Here page="room-1" /></main>;
}
