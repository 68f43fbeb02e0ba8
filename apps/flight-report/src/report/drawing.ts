/** The drawings of a report. */
export const chartNames = ['delayByHour', 'lateByHour', 'flightsByHour', 'delayByDistance', 'lateByDistance'] as const

/** A drawing of a report. */
export type ChartName = (typeof chartNames)[number]

/** Hours with fewer flights than this say more about single flights than about the hour. */
export const ENOUGH_FLIGHTS = 100

/** Colors of the page and its charts. */
export const colors = { ink: '#22313f', muted: '#6b7a88', line: '#dfe5ea', accent: '#1f6f8b', warm: '#d1603d' } as const
