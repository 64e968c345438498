#version 300 es
// One pixel: its ray through all planes, near to far, until no light is left.
// Positions are those of nir/operators/planes.py: texels of a plane's picture, centres at +0.5.
precision highp float;
precision highp int;
precision highp sampler2DArray;
precision highp usampler2DArray;

uniform mat3 rotation;          // from the viewing camera's axes to the reference camera's
uniform vec3 place;             // of the viewing camera, in the reference camera's axes
uniform vec4 lens;              // of the viewing camera: focal x, y, centre x, y
uniform vec4 plane_lens;        // of the planes' pictures
uniform vec2 plane_size;
uniform vec2 coefficient_size;            // of their coarser picture
uniform float coefficient_shrink;         // texels of a plane that share one, along each side
uniform float canvas_height;
uniform int plane_count;
uniform float basis_weights[BASIS + 1];   // 0 where a function is switched off
uniform vec2 basis_range[BASIS + 1];      // low, high
uniform float coefficient_scales[BASIS + 1];
uniform vec2 direction_limits;
uniform highp sampler2D planes;           // inverse depth, that of the group's first plane, group
uniform usampler2DArray tiles;            // slot + 1 in the alpha and in the base atlas
uniform usampler2DArray coefficient_tiles;
uniform sampler2DArray alpha_pages;
uniform sampler2DArray base_pages;
uniform sampler2DArray coefficient_pages; // LAYERS of them a page
uniform sampler2DArray basis_table;

out vec4 colour_out;

const float LEAST_TRANSMITTANCE = 1.0 / 512.0;

// Weights of the stored levels, so that Σ k_n H_n = Σ weight · level + constant. Number 0 is unused:
// an array cannot be empty.
float weights[BASIS + 1];
float constant;

void read_basis(vec3 direction) {
  vec2 size = vec2(textureSize(basis_table, 0).xy);
  vec2 grid = clamp(direction.xy / direction_limits, -1.0, 1.0) * 0.5 + 0.5;
  vec2 at = (grid * (size - 1.0) + 0.5) / size;
  constant = 0.0;
  for (int n = 1; n <= BASIS; ++n) {
    float level = texture(basis_table, vec3(at, float(n - 1))).r;
    float value = mix(basis_range[n].x, basis_range[n].y, level);
    float scaled = value * coefficient_scales[n] * basis_weights[n];
    weights[n] = scaled * 255.0 / 127.0;
    constant -= scaled;
  }
}

struct Place { ivec2 tile; vec2 local; bool inside; };

Place place_of(vec2 position, vec2 size, ivec2 tile_grid) {
  bool inside = all(greaterThanEqual(position, vec2(0.0)))
    && all(lessThanEqual(position, size));
  vec2 centred = clamp(position - 0.5, vec2(0.0), size - 1.0);
  ivec2 tile = min(ivec2(centred / float(SIDE - 1)), tile_grid - 1);
  return Place(tile, centred - vec2(tile * (SIDE - 1)), inside);
}

// Coordinates on an atlas, and the page, of a place in a slot.
vec3 in_atlas(uint slot, vec2 local, ivec2 page_size) {
  int columns = page_size.x / SIDE;
  int per_page = columns * (page_size.y / SIDE);
  int number = int(slot) - 1;
  int within = number % per_page;
  vec2 corner = vec2(within % columns * SIDE, within / columns * SIDE);
  return vec3((corner + local + 0.5) / vec2(page_size), number / per_page);
}

// Σ k_n H_n of a group, where the ray meets its first plane.
vec3 turning_of(int group, vec2 position) {
  Place found = place_of(
    position / coefficient_shrink, coefficient_size, textureSize(coefficient_tiles, 0).xy);
  uint slot = texelFetch(coefficient_tiles, ivec3(found.tile, group), 0).r;
  if (slot == 0u || !found.inside) return vec3(0.0);
  vec3 at = in_atlas(slot, found.local, textureSize(coefficient_pages, 0).xy);
  float first = at.z * float(LAYERS);
  vec4 level;
  vec3 colour = vec3(constant);
  // CHANNELS
  return colour;
}

void main() {
  vec2 pixel = vec2(gl_FragCoord.x, canvas_height - gl_FragCoord.y);
  vec3 direction = rotation * vec3((pixel - lens.zw) / lens.xy, 1.0);
  vec3 seen = vec3(0.0);
  float light = 1.0;
  if (direction.z > 0.0) {
    read_basis(normalize(direction));
    vec2 slope = direction.xy / direction.z;
    vec2 at_infinity = plane_lens.xy * slope + plane_lens.zw;
    vec2 parallax = plane_lens.xy * (place.xy - place.z * slope);
    ivec2 alpha_size = textureSize(alpha_pages, 0).xy;
    ivec2 base_size = textureSize(base_pages, 0).xy;
    ivec2 tile_grid = textureSize(tiles, 0).xy;
    int known_group = -1;
    vec3 turning = vec3(0.0);
    for (int plane = 0; plane < plane_count && light > LEAST_TRANSMITTANCE; ++plane) {
      vec4 about = texelFetch(planes, ivec2(plane, 0), 0);
      Place found = place_of(at_infinity + about.x * parallax, plane_size, tile_grid);
      uvec2 slot = texelFetch(tiles, ivec3(found.tile, plane), 0).rg;
      if (slot.r == 0u || !found.inside) continue;
      float alpha = textureLod(alpha_pages, in_atlas(slot.r, found.local, alpha_size), 0.0).r;
      if (alpha <= 0.0) continue;
      vec3 base = textureLod(base_pages, in_atlas(slot.g, found.local, base_size), 0.0).rgb;
      int group = int(about.z);
      if (BASIS > 0 && group != known_group) {
        turning = turning_of(group, at_infinity + about.y * parallax);
        known_group = group;
      }
      seen += light * alpha * clamp(base + turning, 0.0, 1.0);
      light *= 1.0 - alpha;
    }
  }
  colour_out = vec4(seen, 1.0);
}
