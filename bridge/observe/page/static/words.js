// Numbers and times in words.

const counts = new Intl.NumberFormat("en");

export function counted(number, thing) {
  return `${counts.format(number)} ${thing}${number === 1 ? "" : "s"}`;
}

export function count(number) {
  return counts.format(number);
}

export function moment(text) {
  return text ? text.slice(0, 19).replace("T", " ") : "no time";
}

export function momentOf(milliseconds) {
  return moment(new Date(milliseconds).toISOString());
}

export function since(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function bytes(number) {
  if (number < 1000) return `${number} bytes`;
  return number < 1e6 ? `${(number / 1000).toFixed(1)} kB` : `${(number / 1e6).toFixed(1)} MB`;
}

// As many digits as tell something, and never 12.300000000000001.
export function short(number, digits = 6) {
  return number === null || number === undefined ? "" : String(Number(Number(number).toPrecision(digits)));
}

export function brightness(latest) {
  const value = latest.limit ? `fainter than ${short(latest.value)}` : short(latest.value);
  const error = latest.error === null ? "" : ` ± ${short(latest.error, 3)}`;
  return `${latest.bandpass ? `${latest.bandpass}: ` : ""}${value}${error}${latest.unit ? ` ${latest.unit}` : ""}`;
}

export function sexagesimal(ra, dec) {
  const parts = (value, digits, most) => {
    const scale = 10 ** digits;
    const total = Math.round(Math.abs(value) * 3600 * scale);
    const seconds = (total % (60 * scale)) / scale;
    const whole = (number) => String(number).padStart(2, "0");
    return [whole(Math.floor(total / (3600 * scale)) % most), whole(Math.floor(total / (60 * scale)) % 60),
      seconds.toFixed(digits).padStart(digits + 3, "0")].join(":");
  };
  const wrapped = ((ra % 360) + 360) % 360;
  // What rounds to 24 hours is 0 hours.
  return `${parts(wrapped / 15, 2, 24)} ${dec < 0 ? "-" : "+"}${parts(dec, 1, 360)}`;
}
