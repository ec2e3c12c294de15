// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "./ISettlement.sol";

/// @title Judge of one-shot proofs over sum trees
/// @notice Stateless: what it answers follows from its arguments alone. Whoever has the contributions of a round, and the
/// hashes of the coordinator's trees, can prove any wrong addition in one call.
/// @dev What the coordinator committed in a wrong form is guilty, never a revert: otherwise a malformed commit could not
/// be proved wrong. A proof that is itself malformed, by whoever challenges, is not guilty or reverts. That it is `view`
/// and not `pure` is for SHA-256, which is a call.
///
/// For each leaf of 256 words of a contribution, `sumTrees` commits to a tree over the slots of the cohort. `own` is the
/// hash that the words of a sum have as a leaf:
///
///     own    SHA-256(0x00 || chunk u32 || leaf u32 || modulus index u32 || 256 words, little-endian u64)
///     leaf   the `own` of one contribution, which is that contribution's own leaf
///     inner  SHA-256(0x02 || left || right || own), the words of `own` being those of left plus those of right
///
/// The roots of these trees are the leaves of a tree over a chunk, whose roots are the leaves of a tree over the chunks,
/// both with inner nodes SHA-256(0x01 || left || right), as in a contribution and in the published sum.
/// The cohort is such a tree over SHA-256(0x04 || slot id u32 || root of the contribution), by rising slot id.
///
/// Commit, terms and arithmetic fix how many leaves each tree has. A node is named by its level, 0 at the leaves, and its
/// index there; neighbours are paired level by level and an odd last node is carried up, which is the tree of RFC 6962.
/// A proof's hashes are in one array, `steps`, in the order in which hashing upwards needs them, neither too few nor too
/// many. So they prove positions.
interface ISumVerifier {
    /// @notice What a proof shows; `proof` is the ABI encoding of the struct of the kind's name.
    /// BadSum: an inner node of a sum tree is not the sum of its children.
    /// BadLeaf: a leaf of a sum tree is not the contribution's own.
    /// BadTop: a leaf of the published sum is not the top of its sum tree.
    /// Malformed: a committed preimage has a wrong length, label or residue.
    /// Omitted: a contribution with a signed receipt is missing, another stands in its slot, or slots are out of order.
    /// BadPayout: a payout is not what the formula gives, does not follow the one before, or a payee has two.
    /// @dev Under a scheme other than "ckks/1" only Omitted, BadPayout and, of the cohort, Malformed are judged. Under
    /// "shares/1" each seat lacks one component, and any published word of it would be plaintext to that seat.
    enum Kind {
        BadSum,
        BadLeaf,
        BadTop,
        Malformed,
        Omitted,
        BadPayout
    }

    /// @notice Which tree a node stands in.
    /// SumTrees: the trees of partial sums. PublishedSum: the sum. Cohort: the tree over the contributions' roots.
    /// Contribution: that of one contribution.
    enum Tree {
        SumTrees,
        PublishedSum,
        Cohort,
        Contribution
    }

    /// @notice What in its tree a malformed preimage belongs to.
    /// Words: what `own`, or a leaf of the sum or of a contribution, is the hash of.
    /// Sums: an inner node of a sum tree.
    /// Leaves: an inner node of the tree over the leaves of a chunk.
    /// Chunks: an inner node of the tree over the chunks.
    /// Slots: a node of the cohort.
    enum Layer {
        Words,
        Sums,
        Leaves,
        Chunks,
        Slots
    }

    /// @notice A position that can be demanded. Fields that its tree does not need are zero.
    /// @param tree Which tree.
    /// @param chunk Index of the chunk; zero in the cohort.
    /// @param leaf Index of the leaf in its chunk; zero in the cohort.
    /// @param level Height above the leaves of a sum tree; in all other trees it is zero.
    /// @param index From the left, at that level; in the cohort and for a contribution it is the slot.
    struct Node {
        Tree tree;
        uint32 chunk;
        uint32 leaf;
        uint8 level;
        uint32 index;
    }

    /// @notice What a proof is judged against.
    /// @param chainId The chain, part of every payout's leaf.
    /// @param settlement The settlement contract, part of every payout's leaf.
    /// @param domain EIP-712 domain separator under which receipts are signed.
    /// @param coordinator Who signed them.
    /// @param arithmetic SHA-256 of the arithmetic part of the plan.
    /// @param leavesPerChunk Leaves of each chunk but the last.
    /// @param lastChunkLeaves Leaves of the last chunk.
    /// @param payoutsBefore Root over the payouts of the round before; zero for the first round.
    /// @param commit The round's commit, whose hash was checked.
    struct Context {
        uint256 chainId;
        address settlement;
        bytes32 domain;
        address coordinator;
        bytes32 arithmetic;
        uint32 leavesPerChunk;
        uint32 lastChunkLeaves;
        bytes32 payoutsBefore;
        ISettlement.Commit commit;
    }

    /// @notice An inner node whose words are not the sum of its children's, or a child that is not canonical.
    /// @dev The sum is computed, and its hash compared; so its words need not be known.
    /// @param level Of the accused node in its sum tree, at least 1, with its `index` there.
    /// @param leftModulus Modulus index in the left child's `own`; `rightModulus` that in the right child's.
    /// @param left Words of the left child, 2,048 bytes; `right` those of the right child.
    /// @param steps Children of the left child, if it has any; children of the right child, if it has any; the accused
    /// `own`; up the sum tree, each time, the sibling and then the parent's `own`; siblings over the leaves of the chunk;
    /// siblings over the chunks.
    /// @param arithmetic The arithmetic part of the plan.
    struct BadSum {
        uint32 chunk;
        uint32 leaf;
        uint32 level;
        uint32 index;
        uint32 leftModulus;
        uint32 rightModulus;
        bytes left;
        bytes right;
        bytes32[] steps;
        bytes arithmetic;
    }

    /// @notice A leaf of a sum tree that is not the contribution's own.
    /// @param slot Index of the contribution in the cohort, with its `slotId` there.
    /// @param inTree The leaf in the sum tree; `inContribution` the one under the contribution's root.
    /// @param steps From `inTree`: up the sum tree, over the leaves, over the chunks. From `inContribution`: over the
    /// leaves, over the chunks, over the cohort.
    struct BadLeaf {
        uint32 chunk;
        uint32 leaf;
        uint32 slot;
        uint32 slotId;
        bytes32 inTree;
        bytes32 inContribution;
        bytes32[] steps;
        bytes arithmetic;
    }

    /// @notice A leaf of the published sum that is not the top of its sum tree.
    /// @param inSum The leaf under the root of the published sum.
    /// @param steps The top's children, if there are two slots or more; its `own`; over the leaves, over the chunks. From
    /// `inSum`: over the leaves, over the chunks.
    struct BadTop {
        uint32 chunk;
        uint32 leaf;
        bytes32 inSum;
        bytes32[] steps;
        bytes arithmetic;
    }

    /// @notice Bytes under a committed hash that do not have the form of their place.
    /// @param slot Index in the cohort, with its `slotId` there, where the tree is that of a contribution.
    /// @param level Where the bytes belong in their layer, with `index`: above 0 in Sums, Leaves and Chunks; in Words, of
    /// the sum tree's node that the words are of, and zero in other trees.
    /// @param preimage The bytes.
    /// @param steps For words of an inner node its children; then upwards, as in the other proofs.
    /// @param arithmetic The arithmetic part of the plan; not looked at for the cohort.
    struct Malformed {
        Tree tree;
        Layer layer;
        uint32 slot;
        uint32 slotId;
        uint32 chunk;
        uint32 leaf;
        uint32 level;
        uint32 index;
        bytes preimage;
        bytes32[] steps;
        bytes arithmetic;
    }

    /// @notice A leaf of the cohort.
    struct Slot {
        uint32 slotId;
        bytes32 contribution;
    }

    /// @notice A contribution that is not where its receipt says, or slots that do not rise.
    /// @param slotId With `contribution`: what the receipt says, for the commit's programme and round.
    /// @param signature The coordinator's under the receipt, 65 bytes; not looked at where the two slots do not rise.
    /// @param slot Index of the first of `slots` in the cohort.
    /// @param slots The contribution's own slot, or the first or the last of all; or the two that it would be between.
    /// @param steps Over the cohort from the first of them, then from the second.
    struct Omitted {
        uint32 slotId;
        bytes32 contribution;
        bytes signature;
        uint32 slot;
        Slot[] slots;
        bytes32[] steps;
    }

    /// @notice What is wrong with a payout.
    /// Formula: its entry has another form, round or amount; or, in the first round, there is more than was earned.
    /// Regression: what is left without this round's part is not what the round before says.
    /// Twin: the payee has two leaves.
    enum Fault {
        Formula,
        Regression,
        Twin
    }

    /// @notice A leaf of a payout tree, but for its payee, and its siblings up to the root.
    struct Payout {
        uint256 cumulative;
        bytes32 salt;
        bytes32 entry;
        bytes32[] steps;
    }

    /// @notice A wrong payout.
    /// @param entry What the payout's `entry` is the keccak-256 of:
    /// abi.encode(keccak256("veilsum/score/1"), round, score, earned, salt). Not looked at for twins.
    /// @param other The payee's leaf of the round before, or the twin; not looked at for the formula.
    struct BadPayout {
        Fault fault;
        address payee;
        Payout payout;
        bytes entry;
        Payout other;
    }

    /// @notice What answers a demand: hashes, never words.
    /// @param slotId In the cohort and for a contribution: the slot's id there; else zero.
    /// @param steps The node itself (an inner node of a sum tree: its children and its `own`; a slot: the root of its
    /// contribution; else the leaf); then upwards, as in the proofs.
    /// @param arithmetic The arithmetic part of the plan; not looked at for the cohort.
    struct Opening {
        uint32 slotId;
        bytes32[] steps;
        bytes arithmetic;
    }

    /// @notice Whether `proof` shows that the commit is wrong.
    function verdict(Context calldata context, Kind kind, bytes calldata proof) external view returns (bool guilty);

    /// @notice Whether there is such a node that may be shown. Under additive shares no node with words may.
    /// @dev Whoever committed honestly can answer a demand for each.
    /// @param arithmetic The arithmetic part of the plan; not looked at for the cohort.
    function exists(Context calldata context, Node calldata node, bytes calldata arithmetic)
        external
        pure
        returns (bool);

    /// @notice Whether `opening`, the ABI encoding of an `Opening`, is that node under the commit.
    function opens(Context calldata context, Node calldata node, bytes calldata opening) external view returns (bool);
}
