import type { Schemas } from "./parley.ts";
import { api, remembered } from "./parley.ts";
import { Loading, useAnswer } from "./pieces.tsx";
import { language, percent, t } from "./words.ts";

type Statistics = Schemas["Statistics"];
const DAY_MS = 86_400_000;
const WEEKS = 53;

const dayName = (on: string) =>
  new Date(`${on}T12:00:00Z`).toLocaleDateString(language, { dateStyle: "medium", timeZone: "UTC" });
const isoDay = (ms: number) => new Date(ms).toISOString().slice(0, 10);

export function StatisticsPage() {
  const query = { days: 365 };
  const { answer, problem } = useAnswer(() =>
    remembered("statistics", () => api.GET("/statistics", { params: { query } })),
  );
  if (problem) return <p role="alert" class="problem">{problem}</p>;
  if (!answer) return <Loading />;
  const today = answer.heatmap.find(({ on }) => on === answer.today)?.reviews ?? 0;
  return (
    <>
      {!navigator.onLine && <p class="soft">{t("asOf")}</p>}
      <dl class="figures">
        <div><dt>{t("streak")}</dt><dd>{answer.streakDays}</dd><dd class="soft">{t("longest", { n: answer.longestStreakDays })}</dd></div>
        <div><dt>{t("today")}</dt><dd>{today}</dd><dd class="soft">{t("minutes", { n: Math.round(answer.durationMs.today / 60_000) })}</dd></div>
        <div><dt>{t("total")}</dt><dd>{answer.totals.cards}</dd><dd class="soft">{t("learned")}: {answer.cardsLearned}</dd></div>
      </dl>
      <Heatmap {...answer} />
      <Forecast {...answer} />
      <Retention {...answer} />
    </>
  );
}

/** A square for each day of a year, a column for each week from Monday on. */
function Heatmap({ today, heatmap }: Statistics) {
  const reviews = new Map(heatmap.map(({ on, reviews: count }) => [on, count]));
  const end = Date.parse(`${today}T12:00:00Z`);
  const weekday = (new Date(end).getUTCDay() + 6) % 7;
  const begin = end - ((WEEKS - 1) * 7 + weekday) * DAY_MS;
  const most = Math.max(1, ...reviews.values());
  const days = Array.from({ length: (WEEKS - 1) * 7 + weekday + 1 }, (_, number) => isoDay(begin + number * DAY_MS));
  const total = heatmap.reduce((sum, { reviews: count }) => sum + count, 0);
  const says = t("heatmapSays", { n: total, days: heatmap.filter(({ reviews: count }) => count > 0).length });
  return (
    <figure class="card">
      <figcaption><h2>{t("heatmap")}</h2><p class="soft">{says}</p></figcaption>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("heatmap")}>
        <svg class="heatmap" viewBox={`0 0 ${WEEKS * 12} 84`} role="img" aria-label={says}>
          {days.map((on, number) => {
            const count = reviews.get(on) ?? 0;
            const level = count && Math.ceil((4 * count) / most);
            return (
              <rect key={on} class={`level${level}`} x={Math.floor(number / 7) * 12 + 1} y={(number % 7) * 12 + 1} width="10" height="10" rx="2">
                <title>{t("reviewsOn", { n: count, day: dayName(on) })}</title>
              </rect>
            );
          })}
        </svg>
      </div>
    </figure>
  );
}

function Forecast({ forecast }: Statistics) {
  const days = forecast.slice(0, 30);
  const most = Math.max(...days.map(({ reviews }) => reviews));
  const sum = days.reduce((total, { reviews }) => total + reviews, 0);
  const ends = [days[0], days.at(-1)].map((day) => day && dayName(day.on));
  return (
    <figure class="card">
      <figcaption><h2>{t("forecast")}</h2><p class="soft">{t("mostADay", { n: most })}</p></figcaption>
      <svg viewBox="0 0 600 120" role="img" aria-label={`${t("forecast")}: ${sum}`}>
        {days.map(({ on, reviews }, number) => {
          const height = (110 * reviews) / Math.max(1, most);
          return (
            <rect key={on} class="bar" x={number * 20 + 2} y={118 - height} width="16" height={height} rx="2">
              <title>{t("reviewsOn", { n: reviews, day: dayName(on) })}</title>
            </rect>
          );
        })}
        <line x1="0" x2="600" y1="119" y2="119" />
      </svg>
      <p class="row soft"><span>{ends[0]}</span><span>{ends[1]}</span></p>
    </figure>
  );
}

/** The share remembered as bars, with a line where the scheduler expected it. */
function Retention({ retention }: Statistics) {
  return (
    <figure class="card">
      <figcaption><h2>{t("retention")}</h2></figcaption>
      {(["week", "month", "year"] as const).map((period) => {
        const { remembered: share, expected, reviews } = retention[period];
        return (
          <div key={period} class="share">
            <p>{t(period)}: <b>{percent(share)}</b> {t("remembered")}, {percent(expected)} {t("expected")} <span class="soft">({reviews})</span></p>
            <svg viewBox="0 0 600 14" preserveAspectRatio="none" aria-hidden="true">
              <rect class="level0" width="600" height="14" rx="3" />
              <rect class="bar" width={600 * (share ?? 0)} height="14" rx="3" />
              {expected !== null && <line class="expected" x1={600 * expected} x2={600 * expected} y1="0" y2="14" />}
            </svg>
          </div>
        );
      })}
    </figure>
  );
}
