/** Long work in parts, so that the page paints and takes clicks in between. */

const PART_BYTES = 4 << 20;

export class Pauses {
  constructor() {
    this.left = PART_BYTES;
  }

  /**
   * Pause, if enough was done since the last pause.
   * @param {number} bytes that were worked on
   * @returns {Promise<void>}
   */
  async worked(bytes) {
    this.left -= bytes;
    if (this.left > 0) return;
    this.left = PART_BYTES;
    await new Promise((resolve) => { setTimeout(resolve); });
  }
}
